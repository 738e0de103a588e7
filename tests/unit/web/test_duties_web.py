"""Rights, classes, approvals, emergencies and holds by API, on a real application."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import delete, select, update

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import Call, WebVault, running
from vault.access.approvals import ApprovalKind, NewApproval
from vault.access.duties import DutiesConfig
from vault.access.hands import HandedOver, keep_hand
from vault.access.permissions import CONTENT, DualControl, Permission, Role, ScopeKind
from vault.access.rights import HolderKind, NewRight
from vault.access.sessions import SessionConfig
from vault.access.tables import APPROVAL, GRANTED_RIGHT, MEDIA_GRANT
from vault.catalog.tables import RECORDING, SEALED_ROW
from vault.core.flow import Actor, ActorKind, RecordingState
from vault.core.ids import RecordingId
from vault.database.engine import reading, transaction
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

RIGHTS = "/api/v1/rights"
CLASSES = "/api/v1/classes"
APPROVALS = "/api/v1/approvals"
EMERGENCY = "/api/v1/emergency"
PLAY = "recording:media:play"
WHY = "complaint of Mrs Example"


def slug(answer: Response) -> tuple[int, str]:
    kind = answer.json().get("type", "") if answer.content else ""
    return answer.status_code, str(kind).removeprefix("/problems/")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    """A vault of its own for this module: what is given here is given to everybody."""
    config = WebConfig(
        edge=EdgeConfig(requests_per_minute=100_000, spares_loopback=True),
        actor_requests_per_minute=100_000,
    )
    with running(tmp_path_factory.mktemp("company"), config) as vault:
        vault.crew()
        vault.person("anna", Role.ADMINISTRATOR)
        vault.person("quinn", Role.QUALITY, workgroups=["sales"])
        vault.person("emma", Role.AGENT)
        give(vault, "emma", Permission.ACCESS_EMERGENCY_USE)
        yield vault


def detail(leaf: dict[str, Any]) -> dict[str, Any]:
    return dict(leaf.get("detail", {}))


def texts(leaf: dict[str, Any]) -> dict[str, Any]:
    return dict(leaf.get("text", {}))


def give(vault: WebVault, name: str, permission: Permission) -> None:
    vault.services().duties.rights.add(
        NewRight(
            holder_kind=HolderKind.USER,
            holder=vault.people.by_name(name).id,
            permission=permission,
            scope_kind=ScopeKind.ALL,
        ),
        granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
    )


@pytest.fixture
def as_(company: WebVault, signed_in: SignedInAs) -> SignedInAs:
    return lambda name: signed_in(name, company)


def put_class(company: WebVault, as_: SignedInAs, name: str, **asks: bool) -> None:
    assert as_("anna").put(f"{CLASSES}/{name}", json=asks).status_code == 200


def classified(
    company: WebVault, name: str, state: RecordingState = RecordingState.READY
) -> RecordingId:
    made = company.record(Call(state=state))
    with transaction(company.catalog) as connection:
        connection.execute(
            update(RECORDING).where(RECORDING.c.id == made).values(class_name=name)
        )
    return made


def audio(client: Client, recording: str, part: str = "audio") -> tuple[int, str]:
    answer = client.head(f"/api/v1/recordings/{recording}/{part}")
    if answer.status_code < 400:
        return answer.status_code, ""
    return slug(client.get(f"/api/v1/recordings/{recording}/{part}"))


def anna_sees(as_: SignedInAs) -> str:
    return str(as_("anna").get(APPROVALS).json())


def released(vault: WebVault, recording: str) -> list[dict[str, Any]]:
    return [
        leaf
        for leaf in vault.leaves()
        if leaf["action"] == "recording.key.released"
        and leaf.get("recording") == recording
    ]


class TestRights:
    def test_a_right_is_given_listed_used_and_revoked(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        company.person("rita", Role.AGENT)
        recording, rita, adam = company.record(), as_("rita"), as_("adam")
        given = [
            adam.post(
                RIGHTS,
                json={
                    "to": "user:RITA",
                    "permission": permission,
                    "over": "workgroup:Sales",
                    "until": "2126-01-01T00:00:00Z",
                },
            )
            for permission in ("recording:metadata:read", PLAY)
        ]
        listed = adam.get(RIGHTS).json()["items"]

        assert [201, 201] == [one.status_code for one in given]
        assert all(one.json() in listed for one in given)
        assert ("user:rita", PLAY, "workgroup:sales", "2126-01-01", False) == (
            given[1].json()["to"],
            given[1].json()["permission"],
            given[1].json()["over"],
            given[1].json()["until"][:10],
            given[1].json()["emergency"],
        )
        assert (200, "") == audio(rita, recording)
        for one in given:
            gone = adam.delete(f"{RIGHTS}/{one.json()['id']}")
            assert gone.status_code == 204
        assert (404, "not-found") == audio(rita, recording)
        assert (404, "not-found") == slug(adam.delete(f"{RIGHTS}/{one.json()['id']}"))

    def test_a_stream_ends_with_the_right(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        company.person("rolf", Role.AGENT)
        recording, rolf, adam = company.record(), as_("rolf"), as_("adam")
        right = {"to": "user:rolf", "permission": PLAY, "over": "all"}
        made = adam.post(RIGHTS, json=right).json()

        assert (200, "") == audio(rolf, recording)
        adam.delete(f"{RIGHTS}/{made['id']}")
        assert (404, "not-found") == audio(rolf, recording)

    @pytest.mark.parametrize(
        ("members", "status"),
        [
            ({"to": "user:nobody"}, 404),
            ({"to": "workgroup:nobody"}, 404),
            ({"to": "role:nobody"}, 422),
            ({"to": "ada"}, 422),
            ({"to": "user:"}, 422),
            ({"permission": "recording:media:rewrite"}, 422),
            ({"permission": "access:user:edit", "over": "own"}, 422),
            ({"over": "class:nothing"}, 404),
            ({"over": "class:"}, 422),
            ({"over": "all:x"}, 422),
            ({"over": "everything"}, 422),
            ({"from": "tomorrow"}, 422),
            ({"until": "2026-11-23"}, 422),
            ({"until": "2001-01-01T00:00:00Z"}, 422),
            ({"until": "9999-99-99T00:00:00Z"}, 422),
            ({"is_emergency": True}, 422),
            ({"to": "user:a\x00"}, 404),
        ],
    )
    def test_what_is_no_right_is_refused(
        self, as_: SignedInAs, members: dict[str, object], status: int
    ) -> None:
        right = {"to": "user:ada", "permission": PLAY, "over": "all"} | members

        assert status == as_("adam").post(RIGHTS, json=right).status_code

    @pytest.mark.parametrize("name", ["ada", "olga", "carl", "quinn", "emma"])
    def test_it_is_for_administrators(self, as_: SignedInAs, name: str) -> None:
        client = as_(name)
        right = {"to": f"user:{name}", "permission": PLAY}
        answers = [
            client.get(RIGHTS),
            client.post(RIGHTS, json=right),
            client.delete(f"{RIGHTS}/x"),
            client.put(f"{CLASSES}/x", json={}),
            client.delete(f"{CLASSES}/x"),
        ]

        assert {403} == {one.status_code for one in answers}

    def test_each_change_is_on_the_trail_and_its_words_are_sealed(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam = as_("adam")
        right = {"to": "role:quality", "permission": PLAY, "over": "own"}
        made = adam.post(RIGHTS, json=right).json()
        adam.delete(f"{RIGHTS}/{made['id']}")
        leaves = [
            leaf for leaf in company.leaves() if detail(leaf).get("given") == made["id"]
        ]

        assert [
            ("access.right.given", ["after"]),
            ("access.right.revoked", ["before"]),
        ] == [(leaf["action"], sorted(texts(leaf))) for leaf in leaves]
        assert {"role:quality"} == {detail(leaf)["holder"] for leaf in leaves}


class TestSecondPerson:
    def test_an_administrator_does_not_make_themselves_a_listener(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        adam, anna = as_("adam"), as_("anna")
        recording = company.record()
        right = {"to": "user:adam", "permission": PLAY, "over": "workgroup:sales"}
        asked = adam.post(RIGHTS, json=right)
        waiting = asked.json()["approval"]
        decision = f"{APPROVALS}/{waiting}/decision"
        own = slug(adam.post(decision, json={"approve": True}))

        assert (202, [PLAY]) == (asked.status_code, asked.json()["gains"])
        assert (404, "not-found") == own
        assert (404, "not-found") == audio(adam, recording)
        shown = {one["id"]: one for one in anna.get(APPROVALS).json()["items"]}[waiting]
        assert ("access", "pending", "adam", False, "right.give", [PLAY]) == (
            shown["kind"],
            shown["state"],
            shown["requester"]["name"],
            shown["own"],
            shown["change"]["kind"],
            shown["gains"],
        )
        agreed = anna.post(decision, json={"approve": True, "reason": "he helps out"})
        assert (200, "approved") == (agreed.status_code, agreed.json()["state"])
        assert (200, "") == audio(adam, recording)
        assert (409, "conflict") == slug(anna.post(decision, json={"approve": True}))
        with transaction(company.catalog) as connection:
            connection.execute(
                GRANTED_RIGHT.delete().where(
                    GRANTED_RIGHT.c.holder == shown["requester"]["id"]
                )
            )
        tail = [
            (leaf["action"], str(leaf["actor"]).partition(":")[0])
            for leaf in company.leaves()
            if detail(leaf).get("approval") == waiting and leaf["result"] == "ok"
        ]
        assert [
            ("access.approval.requested", "user"),
            ("access.approval.approved", "user"),
            ("access.right.given", "user"),
        ] == tail
        assert "helps out" not in str(company.leaves())

    def test_a_refusal_is_final_and_nothing_is_made(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        right = {"to": "role:administrator", "permission": PLAY}
        asked = as_("adam").post(RIGHTS, json=right).json()["approval"]
        refused = as_("olga").post(
            f"{APPROVALS}/{asked}/decision", json={"approve": False}
        )

        assert (200, "refused") == (refused.status_code, refused.json()["state"])
        assert (409, "conflict") == slug(
            as_("anna").post(f"{APPROVALS}/{asked}/decision", json={"approve": True})
        )
        assert not company.people.by_name("adam").holds(Permission.RECORDING_MEDIA_PLAY)

    @pytest.mark.parametrize("name", ["ada", "carl", "quinn", "emma"])
    def test_others_know_nothing_of_it(self, as_: SignedInAs, name: str) -> None:
        right = {"to": "user:adam", "permission": PLAY, "over": "own"}
        adam = as_("adam")
        asked = adam.post(RIGHTS, json=right).json().get("approval") or next(
            one["id"]
            for one in adam.get(APPROVALS).json()["items"]
            if one["state"] == "pending"
        )
        client = as_(name)
        answers = [
            slug(client.post(f"{APPROVALS}/{one}/decision", json={"approve": True}))
            for one in (asked, "nothing")
        ]

        assert [(404, "not-found")] * 2 == answers
        assert asked not in {one["id"] for one in client.get(APPROVALS).json()["items"]}

    def test_no_administrator_holds_content_after_all_that(
        self, company: WebVault
    ) -> None:
        assert not [
            permission
            for name in ("anna",)
            for permission in CONTENT
            if company.people.by_name(name).holds(permission)
        ]

    def test_a_strict_vault_waits_for_others_too(
        self, tmp_path: Path, signed_in: SignedInAs
    ) -> None:
        with running(tmp_path) as vault:
            vault.duties_config = DutiesConfig(dual_control=DualControl.ALWAYS)
            vault.crew()
            right = {"to": "user:carl", "permission": PLAY, "over": "own"}

            assert 202 == signed_in("adam", vault).post(RIGHTS, json=right).status_code

    def test_without_the_trail_nothing_is_made_and_nothing_waits(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        adam = signed_in("adam", own_vault)
        own_vault.stop_warden()
        answers = [
            adam.post(RIGHTS, json={"to": to, "permission": PLAY}).status_code
            for to in ("user:adam", "user:carl")
        ]
        with reading(own_vault.catalog) as connection:
            rows = [
                connection.execute(table.select()).all()
                for table in (APPROVAL, GRANTED_RIGHT)
            ]

        assert ([503, 503], [[], []]) == (answers, rows)


class TestClasses:
    def test_a_class_is_made_changed_listed_and_removed(self, as_: SignedInAs) -> None:
        adam = as_("adam")
        made = adam.put(f"{CLASSES}/fresh", json={"needs_reason": True})
        changed = adam.put(f"{CLASSES}/fresh", json={"needs_approval": True})

        assert {
            "name": "fresh",
            "needs_reason": False,
            "needs_approval": True,
        } == changed.json()
        assert made.status_code == 200
        assert changed.json() in as_("olga").get(CLASSES).json()["items"]
        assert adam.delete(f"{CLASSES}/fresh").status_code == 204
        assert (404, "not-found") == slug(adam.delete(f"{CLASSES}/fresh"))
        assert adam.put(f"{CLASSES}/Not a name", json={}).status_code == 422
        assert as_("ada").get(CLASSES).status_code == 403

    def test_a_reason_is_asked_for_and_sealed(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "strict", needs_reason=True)
        recording, ada = classified(company, "strict"), as_("ada")
        path = f"/api/v1/recordings/{recording}"

        for part in ("audio", "peaks"):
            assert (403, "reason-required") == audio(ada, recording, part)
        assert (403, "reason-required") == slug(
            ada.post(f"{path}/grants", json={"reason": " abc "})
        )
        granted = ada.post(f"{path}/grants", json={"reason": WHY})
        assert granted.status_code == 201
        assert (200, "") == audio(ada, recording)
        assert (403, "reason-required") == audio(ada, recording, "peaks")
        assert "Example" not in str(company.leaves())
        (played,) = released(company, recording)
        assert {"reason"} == set(texts(played))
        assert (404, "not-found") == audio(as_("bob"), recording)

    def test_a_class_is_shown_and_narrows_a_list(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "shown")
        recording, ada = classified(company, "shown"), as_("ada")
        plain = company.record()
        listed = ada.get("/api/v1/recordings", params={"class": "shown"}).json()

        assert [recording] == [one["id"] for one in listed["items"]]
        assert "shown" == ada.get(f"/api/v1/recordings/{recording}").json()["class"]
        assert "class" not in ada.get(f"/api/v1/recordings/{plain}").json()

    def test_an_officer_says_of_which_class_a_recording_is(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "told", needs_reason=True)
        recording, olga = company.record(), as_("olga")
        path = f"/api/v1/recordings/{recording}"
        set_ = olga.patch(path, json={"class": "told"})

        assert {"id": recording, "class": "told"} == set_.json()
        assert (403, "reason-required") == audio(as_("ada"), recording)
        assert (404, "not-found") == slug(olga.patch(path, json={"class": "nothing"}))
        assert {"id": recording, "class": None} == olga.patch(
            path, json={"class": None}
        ).json()
        assert (200, "") == audio(as_("ada"), recording)
        assert olga.patch(path, json={}).status_code == 422
        for name in ("ada", "adam", "carl"):
            assert (404, "not-found") == slug(
                as_(name).patch(path, json={"class": None})
            )

    def test_who_listens_does_not_loosen_a_recording_alone(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "tight", needs_approval=True)
        company.person("both", Role.OFFICER, Role.QUALITY, workgroups=["sales"])
        recording = classified(company, "tight")
        both = as_("both")
        loosened = both.patch(f"/api/v1/recordings/{recording}", json={"class": None})

        assert (202, True) == (
            loosened.status_code,
            PLAY in loosened.json()["gains"],
        )
        assert (403, "approval-required") == audio(both, recording)
        agreed = as_("anna").post(
            f"{APPROVALS}/{loosened.json()['approval']}/decision",
            json={"approve": True},
        )
        assert agreed.status_code == 200
        assert (200, "") == audio(both, recording)


class TestApprovals:
    def ask(self, client: Client, recording: str, **members: str) -> Response:
        body = {"recording": recording, "reason": WHY} | members
        return client.post(APPROVALS, json=body)

    def test_somebody_asks_somebody_agrees_and_it_plays_for_an_hour(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "board", needs_approval=True)
        recording = classified(company, "board")
        quinn, olga, ada = as_("quinn"), as_("olga"), as_("ada")

        assert (403, "approval-required") == audio(quinn, recording)
        asked = self.ask(quinn, recording)
        assert asked.status_code == 201
        waiting = asked.json()["id"]
        assert (409, "conflict") == slug(self.ask(quinn, recording))
        for decider in (olga, ada):
            (seen,) = [
                one
                for one in decider.get(APPROVALS).json()["items"]
                if one["id"] == waiting
            ]
            assert ("quinn", recording, PLAY) == (
                seen["requester"]["name"],
                seen["recording"],
                seen["permission"],
            )
            assert WHY == seen["reason"]
            call = seen["call"]
            assert (4.0, "sales", "board") == (
                call["duration_s"],
                call["workgroup"],
                call["class"],
            )
            assert call["started"].startswith(call["day"])
        (own,) = [
            one for one in quinn.get(APPROVALS).json()["items"] if one["id"] == waiting
        ]
        assert own["own"]
        assert ({"day", "duration_s", "workgroup", "class"}, None) == (
            set(own["call"]),
            own.get("reason"),
        )
        assert "Example" not in anna_sees(as_)
        decision = f"{APPROVALS}/{waiting}/decision"
        assert (404, "not-found") == slug(quinn.post(decision, json={"approve": True}))
        for name in ("bob", "adam", "carl"):
            assert (404, "not-found") == slug(
                as_(name).post(decision, json={"approve": True})
            )
        assert 200 == olga.post(decision, json={"approve": True}).status_code
        assert (200, "") == audio(quinn, recording)
        assert (200, "") == audio(quinn, recording, "peaks")
        assert (403, "approval-required") == audio(ada, recording)
        actions = [
            leaf["action"]
            for leaf in company.leaves()
            if detail(leaf).get("approval") == waiting and leaf["result"] == "ok"
        ]
        assert [
            f"access.approval.{step}" for step in ("requested", "approved", "used")
        ] == (actions)

    def test_the_reason_is_typed_once_and_goes_to_the_leaf_of_the_play(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "grave", needs_reason=True, needs_approval=True)
        recording, quinn = classified(company, "grave"), as_("quinn")
        waiting = self.ask(quinn, recording).json()["id"]
        decided = as_("olga").post(
            f"{APPROVALS}/{waiting}/decision", json={"approve": True}
        )
        played = audio(quinn, recording)
        (leaf,) = released(company, recording)

        assert (200, (200, "")) == (decided.status_code, played)
        assert {"reason"} == set(texts(leaf))
        with reading(company.catalog) as connection:
            kept = str(connection.execute(select(APPROVAL)).all())
            kept += str(connection.execute(select(MEDIA_GRANT)).all())
        assert "Example" not in kept

    def test_the_reason_of_a_refused_request_is_kept_nowhere_but_on_the_trail(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "board", needs_approval=True)
        asked = self.ask(as_("quinn"), classified(company, "board")).json()["id"]
        as_("olga").post(f"{APPROVALS}/{asked}/decision", json={"approve": False})
        with reading(company.catalog) as connection:
            (kept,) = connection.scalars(
                select(APPROVAL.c.sealed_reason).where(APPROVAL.c.id == asked)
            )

        assert kept is None

    def test_reasons_are_erased_once_the_key_is_out_and_the_approval_is_over(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        def as_(name: str) -> Client:
            return signed_in(name, own_vault)

        own_vault.person("anna", Role.ADMINISTRATOR)
        own_vault.person("quinn", Role.QUALITY, workgroups=["sales"])
        put_class(own_vault, as_, "grave", needs_reason=True, needs_approval=True)
        recording, quinn = classified(own_vault, "grave"), as_("quinn")
        waiting = self.ask(quinn, recording).json()["id"]
        as_("olga").post(f"{APPROVALS}/{waiting}/decision", json={"approve": True})
        played = [audio(quinn, recording) for _ in range(2)]
        with reading(own_vault.catalog) as connection:
            granted = connection.scalars(select(MEDIA_GRANT.c.sealed_reason)).all()
        with transaction(own_vault.catalog) as connection:
            connection.execute(
                update(APPROVAL).values(expires_ns=own_vault.clock() - 1)
            )
        self.ask(as_("ada"), recording)
        with reading(own_vault.catalog) as connection:
            (kept,) = connection.scalars(
                select(APPROVAL.c.sealed_reason).where(APPROVAL.c.id == waiting)
            )

        assert ([(200, "")] * 2, [None], None) == (played, list(granted), kept)

    def test_a_call_whose_start_does_not_open_is_shown_by_its_day(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        own_vault.person("anna", Role.ADMINISTRATOR)
        put_class(
            own_vault,
            lambda name: signed_in(name, own_vault),
            "board",
            needs_approval=True,
        )
        recording = classified(own_vault, "board")
        self.ask(signed_in("ada", own_vault), recording)
        with transaction(own_vault.catalog) as connection:
            connection.execute(update(SEALED_ROW).values(sealed=b"damaged"))
        (seen,) = signed_in("olga", own_vault).get(APPROVALS).json()["items"]

        assert {"day", "class"} <= set(seen["call"])
        assert "started" not in seen["call"]

    def test_what_is_not_listed_is_counted(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        duties = company.services().duties
        recording = classified(company, "board")
        for number in range(5):
            asker = company.person(f"many{number}", Role.AGENT)
            for _ in range(41):
                duties.approvals.ask(
                    NewApproval(
                        kind=ApprovalKind.PLAY,
                        requester_id=asker,
                        permission=Permission.RECORDING_MEDIA_PLAY,
                        recording_id=recording,
                        change=str(_),
                    ),
                    tell=lambda _: None,
                )
        try:
            seen, other = (as_(one).get(APPROVALS).json() for one in ("olga", "bob"))
        finally:
            with transaction(company.catalog) as connection:
                connection.execute(
                    delete(APPROVAL).where(APPROVAL.c.recording_id == recording)
                )

        assert 200 == len([one for one in seen["items"] if not one["own"]])
        assert seen["not_listed"] >= 5
        assert 0 == other["not_listed"]

    def test_somebody_in_the_same_hands_is_refused_with_a_leaf(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        quinn = company.people.by_name("quinn").id
        double = company.person("double", Role.OFFICER)
        with transaction(company.catalog) as connection:
            keep_hand(connection, HandedOver(user_id=double), keeper=quinn)
        put_class(company, as_, "board", needs_approval=True)
        recording = classified(company, "board")
        waiting = self.ask(as_("quinn"), recording).json()["id"]
        refused = as_("double").post(
            f"{APPROVALS}/{waiting}/decision", json={"approve": True}
        )
        leaf = company.leaves()[-1]

        assert (409, "conflict") == slug(refused)
        assert ("access.refused", "same-hands", recording, f"user:{double}") == (
            leaf["action"],
            leaf["reason"],
            leaf["recording"],
            leaf["actor"],
        )
        assert {
            "approval": waiting,
            "kind": "play",
            "permission": "recording:approval:decide",
            "user": quinn,
        } == detail(leaf)

    def test_only_who_may_play_asks_and_only_where_it_is_needed(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "board", needs_approval=True)
        recording = classified(company, "board")
        waiting = classified(company, "board", RecordingState.RENDERING)

        assert [
            (404, "not-found"),
            (404, "not-found"),
            (404, "not-found"),
            (404, "not-found"),
            (409, "conflict"),
            (409, "not-ready"),
            (422, "invalid-input"),
            (422, "invalid-input"),
            (422, "invalid-input"),
        ] == [
            slug(one)
            for one in (
                self.ask(as_("bob"), recording),
                self.ask(as_("adam"), recording),
                self.ask(as_("quinn"), recording, media="capture"),
                self.ask(as_("quinn"), "nothing"),
                self.ask(as_("quinn"), company.record()),
                self.ask(as_("quinn"), waiting),
                self.ask(as_("quinn"), recording, media="everything"),
                self.ask(as_("quinn"), recording, reason="abc"),
                self.ask(as_("quinn"), recording, reason="        "),
            )
        ]


class TestEmergency:
    def test_the_glass_is_broken_loudly_and_ends(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        put_class(company, as_, "board", needs_approval=True)
        recording, emma = classified(company, "board"), as_("emma")
        anna = as_("anna")
        before = len(company.actions())

        assert (404, "not-found") == audio(emma, recording)
        opened = emma.post(EMERGENCY, json={"reason": WHY})
        assert opened.status_code == 201
        assert (409, "conflict") == slug(emma.post(EMERGENCY, json={"reason": WHY}))
        assert (200, "") == audio(emma, recording)
        assert (404, "not-found") == audio(emma, recording, "capture")
        assert 200 == emma.get(f"/api/v1/recordings/{recording}").status_code
        assert "broken" in anna.get("/readyz").json()["checks"]["emergency"]
        assert [opened.json()] == anna.get(EMERGENCY).json()["items"]
        assert [] == as_("ada").get(EMERGENCY).json()["items"]
        mine = opened.json()["user"]["id"]
        assert (404, "not-found") == slug(
            as_("ada").delete(EMERGENCY, params={"user": mine})
        )
        assert anna.delete(EMERGENCY, params={"user": mine}).status_code == 204
        assert (404, "not-found") == audio(emma, recording)
        assert "ok" == anna.get("/readyz").json()["checks"]["emergency"]
        assert (404, "not-found") == slug(emma.delete(EMERGENCY))
        assert ["access.emergency.opened", "access.emergency.ended"] == [
            action for action in company.actions()[before:] if "emergency" in action
        ]
        assert "Example" not in str(company.leaves())

    def test_it_ends_by_itself_and_by_who_opened_it(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        own_vault.session_config = SessionConfig(idle_s=9_000)
        own_vault.person("egon", Role.AGENT)
        give(own_vault, "egon", Permission.ACCESS_EMERGENCY_USE)
        recording, egon = own_vault.record(), signed_in("egon", own_vault)
        outcomes = []
        for by_itself in (True, False):
            egon = signed_in("egon", own_vault)
            egon.post(EMERGENCY, json={"reason": WHY})
            outcomes.append(audio(egon, recording))
            if by_itself:
                own_vault.clock.advance(DutiesConfig().emergency_s + 1)
            else:
                egon.delete(EMERGENCY)
            outcomes.append(audio(egon, recording))

        assert [(200, ""), (404, "not-found")] * 2 == outcomes

    @pytest.mark.parametrize("name", ["ada", "olga", "adam", "carl"])
    def test_nobody_breaks_it_by_their_role(self, as_: SignedInAs, name: str) -> None:
        assert (403, "forbidden") == slug(
            as_(name).post(EMERGENCY, json={"reason": WHY})
        )

    def test_it_takes_a_reason_and_a_fresh_proof(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        own_vault.session_config = SessionConfig(idle_s=9_000)
        give(own_vault, "carl", Permission.ACCESS_EMERGENCY_USE)
        carl = signed_in("carl", own_vault)

        assert 422 == carl.post(EMERGENCY, json={"reason": "abc"}).status_code
        own_vault.clock.advance(901)
        assert (403, "step-up-required") == slug(
            carl.post(EMERGENCY, json={"reason": WHY})
        )

    def test_without_the_trail_it_stays_whole(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        give(own_vault, "carl", Permission.ACCESS_EMERGENCY_USE)
        carl = signed_in("carl", own_vault)
        own_vault.stop_warden()

        assert 503 == carl.post(EMERGENCY, json={"reason": WHY}).status_code
        assert () == own_vault.services().duties.emergencies.list()


class TestHolds:
    def test_an_officer_places_and_releases_a_hold(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        recording, olga, ada = company.record(), as_("olga"), as_("ada")
        path = f"/api/v1/recordings/{recording}"
        placed = olga.put(f"{path}/hold", json={"reason": WHY})

        assert (200, {"id": recording, "held": True}) == (
            placed.status_code,
            placed.json(),
        )
        assert ada.get(path).json()["held"]
        released = olga.request("DELETE", f"{path}/hold", json={"reason": WHY})
        assert {"id": recording, "held": False} == released.json()
        assert not ada.get(path).json()["held"]
        again = olga.request("DELETE", f"{path}/hold", json={"reason": WHY})
        assert {"id": recording, "held": False} == again.json()
        assert ["recording.hold.placed", "recording.hold.released"] == [
            leaf["action"]
            for leaf in company.leaves()
            if leaf.get("recording") == recording and "hold" in str(leaf["action"])
        ]

    def test_nobody_else_does_and_nothing_is_told(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        recording = company.record()
        paths = [f"/api/v1/recordings/{one}/hold" for one in (recording, "nothing")]

        assert {(404, "not-found")} == {
            slug(as_(name).request(method, path, json={"reason": WHY}))
            for name in ("ada", "adam", "carl")
            for method in ("PUT", "DELETE")
            for path in paths
        }
        assert (404, "not-found") == slug(
            as_("olga").put(paths[1], json={"reason": WHY})
        )
        assert 422 == as_("olga").put(paths[0], json={}).status_code

    def test_what_was_shredded_is_gone(
        self, company: WebVault, as_: SignedInAs
    ) -> None:
        recording = company.record()
        with transaction(company.catalog) as connection:
            connection.execute(
                update(RECORDING)
                .where(RECORDING.c.id == recording)
                .values(state="shredded")
            )

        assert (410, "shredded") == slug(
            as_("olga").put(
                f"/api/v1/recordings/{recording}/hold", json={"reason": WHY}
            )
        )

    def test_without_the_trail_nothing_is_held(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        recording = own_vault.record()
        olga = signed_in("olga", own_vault)
        own_vault.stop_warden()
        answer = olga.put(f"/api/v1/recordings/{recording}/hold", json={"reason": WHY})

        assert (503, False) == (
            answer.status_code,
            own_vault.recordings.row(recording).held,
        )

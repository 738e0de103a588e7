"""People of a directory (LDAP, Active Directory): the source ``ldap``.

    service account ──search──> one entry ──> bind as that entry ──right──> read it
                                   │ none                                    │
                                   └──> bind as nobody ──> None              └──> shut?
    direct:                     bind as the name's own ──right──> read it        groups

Guarantees:
    * A password is only ever shown to the directory; an empty one to nobody.
    * Who is let in has exactly one entry, an id that never changes, the very name that
      was typed, and nothing that shuts the account, read after the bind.
    * A name that the directory does not know costs the same steps as one that it does.
    * The answer is there within `DirectoryConfig.limit_s`, over all servers: else the
      directory is down, and its people stay out.

Left to others: what groups mean (`vault.access.group_map`), accounts
(`vault.access.provisioning`), the wire (`vault.access.ldap`).

Spec: RFC 4513, section 5.1; MS-ADTS, section 3.1.1
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from vault.access.authenticators import Verified
from vault.access.ldap import (
    LdapConnection,
    LdapServer,
    LdapTls,
    connected,
    load_driver,
)
from vault.access.ldap_entries import (
    STATE_ATTRIBUTES,
    Entry,
    dn_escaped,
    filter_escaped,
    id_filter,
    shut,
    stable_id,
)
from vault.access.ldap_groups import GroupWalk
from vault.access.limited import LimitedCalls
from vault.access.names import checked_name, name_key
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    UnavailableError,
)
from vault.core.secrets import SecretBytes

LDAP: Final = "ldap"
"The source."

NAME: Final = "{name}"
"What a template for direct binds has in place of the name."

_REFUSED: Final = "the directory does not let that person in"
_ANY: Final = "(objectClass=*)"
_MAX_PASSWORD: Final = 1024
_STANDING_LIMIT_S: Final = 10.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryConfig:
    """Where a directory is, and how people are found in it."""

    servers: tuple[LdapServer, ...]
    "Replicas of one directory, in order of preference."
    tls: LdapTls
    base: str
    "Below which people are."
    user_filter: str = "(objectClass=person)"
    name_attribute: str = "uid"
    id_attribute: str = "entryUUID"
    bind_dn: str = ""
    "Account that searches; empty where people bind directly."
    bind_password: SecretBytes | None = None
    direct_bind: str = ""
    "``uid={name},ou=people,dc=…`` or ``{name}@example.org``; empty: search first."
    group_base: str = ""
    "Below which groups name their members; empty: entries name their groups."
    nested_groups: bool = True
    limit_s: float = 3.0
    "Seconds for one sign-in, over all servers."


class Directory:
    """Checks people against a directory; safe to share between threads."""

    def __init__(
        self, config: DirectoryConfig, *, clock: Clock = system_clock_ns
    ) -> None:
        self._config = config
        self._clock = clock
        self._calls = LimitedCalls("the directory", limit_s=config.limit_s)
        # Files are read now: later the process may not open them.
        load_driver()
        self._context = config.tls.context()
        self._preferred = 0
        for server in config.servers:
            config.tls.check(server)

    @property
    def name(self) -> str:
        """The source."""
        return LDAP

    def authenticate(self, name: str, password: str, origin: str) -> Verified | None:
        """Check *password*; see `vault.access.authenticators.Authenticator`."""
        del origin
        if self._config.direct_bind:
            return self._asked(lambda one: self._directly(one, name, password))
        return self._asked(lambda one: self._by_search(one, name, password))

    def standing(self, external_ids: frozenset[str]) -> dict[str, Verified]:
        """Return who may still come in; see `vault.access.authenticators.Standing`."""
        if not self._config.bind_dn:
            raise UnavailableError("no account that may ask about people")
        return self._asked(
            lambda one: self._standing(one, external_ids), limit_s=_STANDING_LIMIT_S
        )

    def examine(self, name: str, password: str) -> Iterator[str]:
        """Yield, step by step, what a sign-in finds: for operators alone.

        The last line says how it ends.  Names stand in these lines.
        """
        for server in self._config.servers:
            deadline = time.monotonic() + self._config.limit_s
            try:
                with connected(
                    server, self._config.tls, self._context, deadline=deadline
                ) as one:
                    yield f"{server}: connected, protected by {one.protection}"
                    yield from self._examined(one, name, password)
                    return
            except UnavailableError as exc:
                yield f"{server}: {exc}"
        yield "down: no server of the directory could tell"

    # ------------------------------------------------------------------ servers

    def _asked(
        self, ask: Callable[[LdapConnection], _T], *, limit_s: float | None = None
    ) -> _T:
        limit = limit_s or self._config.limit_s
        return self._calls.run(
            lambda: self._on_one_server(ask, time.monotonic() + limit), limit_s=limit
        )

    def _on_one_server(
        self, ask: Callable[[LdapConnection], _T], deadline: float
    ) -> _T:
        servers = self._config.servers
        first = self._preferred
        problem = UnavailableError("there is no directory")
        for tried in range(len(servers)):
            at = (first + tried) % len(servers)
            # One that is silent leaves time for the others.
            now = time.monotonic()
            share = now + (deadline - now) / (len(servers) - tried)
            try:
                with connected(
                    servers[at], self._config.tls, self._context, deadline=share
                ) as one:
                    found = ask(one)
            except UnavailableError as exc:
                problem = exc
                continue
            self._preferred = at
            return found
        raise problem

    # ------------------------------------------------------------------- people

    def _by_search(
        self, one: LdapConnection, name: str, password: str
    ) -> Verified | None:
        # 1. As the service account: whose name is it?
        self._bind_service(one)
        found = self._found(one, name)
        # 2. As that entry, or as nobody: does the password fit?
        dn = found[0].dn if len(found) == 1 else self._nobody()
        is_right = one.bind(dn, _octets(password)) and bool(password)
        # 3. Read what counts now: the bind itself may have lifted a lock.
        self._bind_service(one)
        entries = self._read(one, dn)
        # 4. Only a directory that knows nobody of that name leaves it to others.
        if not found:
            return None
        if not is_right or len(entries) != 1:
            raise NotAuthenticatedError(_REFUSED)
        return self._admitted(entries[0], name, self._walk(one))

    def _directly(
        self, one: LdapConnection, name: str, password: str
    ) -> Verified | None:
        dn = self._own_name(name)
        # Wrong and unknown are one answer here: nobody else is asked.
        if not one.bind(dn or self._nobody(), _octets(password)) or not (
            dn and password
        ):
            raise NotAuthenticatedError(_REFUSED)
        entries = self._own_entries(one, name, dn)
        if len(entries) != 1:
            raise NotAuthenticatedError(_REFUSED)
        return self._admitted(entries[0], name, self._walk(one))

    def _standing(
        self, one: LdapConnection, external_ids: frozenset[str]
    ) -> dict[str, Verified]:
        self._bind_service(one)
        walk = self._walk(one)
        standing: dict[str, Verified] = {}
        for external_id in external_ids:
            try:
                wanted = id_filter(self._config.id_attribute, external_id)
                entries = self._search(one, wanted, self._attributes())
                if len(entries) == 1:
                    standing[external_id] = self._admitted(entries[0], None, walk)
            except (InvalidInputError, NotAuthenticatedError):
                continue
        return standing

    def _admitted(self, entry: Entry, name: str | None, walk: GroupWalk) -> Verified:
        """Return who *entry* is, if they may come in.

        Raises:
            NotAuthenticatedError: Shut, or no sound name or id.
        """
        if shut(entry, now_ns=self._clock()):
            raise NotAuthenticatedError(_REFUSED)
        try:
            called = entry.text(self._config.name_attribute)
            external_id = stable_id(entry, self._config.id_attribute)
        except InvalidInputError:
            raise NotAuthenticatedError(_REFUSED) from None
        # Directories overlook more differences than the throttle does.
        if name is not None and name_key(called) != name_key(name):
            raise NotAuthenticatedError(_REFUSED)
        return Verified(
            source=LDAP,
            external_id=external_id,
            name=called,
            groups=walk.of(entry),
        )

    def _examined(self, one: LdapConnection, name: str, password: str) -> Iterator[str]:
        if self._config.bind_dn:
            self._bind_service(one)
            yield f"bound as {self._config.bind_dn}"
            found = self._found(one, name)
            if len(found) != 1:
                yield f"refused: {len(found) or 'no'} entries have that name"
                return
            dn = found[0].dn
        else:
            dn = self._own_name(name)
        yield f"entry: {dn or 'none can have that name'}"
        if not password or not dn or not one.bind(dn, _octets(password)):
            yield "refused: the password is wrong"
            return
        yield "password: right"
        if self._config.bind_dn:
            self._bind_service(one)
            entries = self._read(one, dn)
        else:
            entries = self._own_entries(one, name, dn)
        if len(entries) != 1:
            yield "refused: the entry can't be read"
            return
        yield from self._described(one, entries[0], name)

    def _described(self, one: LdapConnection, entry: Entry, name: str) -> Iterator[str]:
        closed = shut(entry, now_ns=self._clock())
        if closed:
            yield f"refused: the account is {closed}"
            return
        try:
            yield f"id: {stable_id(entry, self._config.id_attribute)}"
            yield f"name: {entry.text(self._config.name_attribute)}"
            verified = self._admitted(entry, name, self._walk(one))
        except InvalidInputError as exc:
            yield f"refused: {exc}"
        except NotAuthenticatedError:
            yield "refused: another name than was asked for, or too many groups"
        else:
            yield from (f"group: {one}" for one in sorted(verified.groups))
            yield "right"

    # ---------------------------------------------------------------- questions

    def _bind_service(self, one: LdapConnection) -> None:
        password = self._config.bind_password
        if password is None or not one.bind(self._config.bind_dn, password.reveal()):
            raise UnavailableError("the directory refuses the service account")

    def _found(self, one: LdapConnection, name: str) -> tuple[Entry, ...]:
        try:
            asked = checked_name(name)
        except InvalidInputError:
            # Nobody here can be called that: not a reason to be faster.
            asked = secrets.token_hex(8)
        return self._search(one, self._named(asked), ())

    def _named(self, name: str) -> str:
        return f"({self._config.name_attribute}={filter_escaped(name)})"

    def _search(
        self, one: LdapConnection, condition: str, attributes: Sequence[str]
    ) -> tuple[Entry, ...]:
        return one.search(
            self._config.base,
            f"(&{self._config.user_filter}{condition})",
            attributes,
            most=1,
        )

    def _read(self, one: LdapConnection, dn: str) -> tuple[Entry, ...]:
        return one.search(dn, _ANY, self._attributes(), most=1, only_base=True)

    def _attributes(self) -> tuple[str, ...]:
        own = (self._config.name_attribute, self._config.id_attribute, "memberOf")
        return (*own, *STATE_ATTRIBUTES)

    def _nobody(self) -> str:
        return (
            f"{self._config.name_attribute}={secrets.token_hex(8)},{self._config.base}"
        )

    def _own_name(self, name: str) -> str:
        """Return what *name* binds as; empty where nobody can be called that."""
        try:
            own = checked_name(name)
        except InvalidInputError:
            return ""
        template = self._config.direct_bind
        return template.replace(NAME, dn_escaped(own) if "=" in template else own)

    def _own_entries(
        self, one: LdapConnection, name: str, dn: str
    ) -> tuple[Entry, ...]:
        """Return the entry of who is bound as *dn*, as they may read it."""
        if "=" in self._config.direct_bind:
            return one.search(
                dn, self._config.user_filter, self._attributes(), most=1, only_base=True
            )
        return self._search(one, self._named(name), self._attributes())

    def _walk(self, one: LdapConnection) -> GroupWalk:
        config = self._config
        return GroupWalk(one, base=config.group_base, nested=config.nested_groups)


def _octets(password: str) -> bytes:
    """Return what is shown to the directory; of nobody's password, a random one."""
    try:
        octets = password.encode("utf-8")
    except UnicodeEncodeError:
        octets = b""
    # A NUL ends the password for servers that are written in C.
    if not octets or b"\0" in octets or len(octets) > _MAX_PASSWORD:
        return secrets.token_hex(16).encode()
    return octets

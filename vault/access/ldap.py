"""Speaking LDAP: connections that are protected, bounded in time and in size.

Guarantees:
    * Nothing is said over a connection that is not TLS 1.2 or newer with a certificate
      for that very host, but on loopback where the operator asked for it: a StartTLS
      that was stripped ends the connection.
    * Referrals and aliases are not followed: nobody is led to another server.
    * Every operation ends at the connection's deadline, however slowly octets trickle,
      and what a server sends is bounded.
    * No bind is ever made without a password.

Left to others: what is asked (`vault.access.directory`), reading entries
(`vault.access.ldap_entries`).

Spec: RFC 4511; RFC 4513, sections 3.1 and 5.1
"""

import importlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import urlsplit

from vault.access.ldap_entries import Entry
from vault.core.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    import ldap3

_MAX_OCTETS: Final = 8 << 20
"What one connection may bring."

_OK: Final = 0
_SIZE_LIMIT: Final = 4
_NO_SUCH_OBJECT: Final = 32
_WRONG: Final = frozenset({19, 32, 34, 48, 49, 50, 53})
"""Results of a bind that say no: constraintViolation, noSuchObject, invalidDNSyntax,
inappropriateAuthentication, invalidCredentials, insufficientAccessRights,
unwillingToPerform.  All others say that the server can't tell."""

_PORTS: Final = {"ldap": 389, "ldaps": 636}


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapServer:
    """Where a directory listens."""

    host: str
    port: int
    is_tls: bool
    "From the first octet (``ldaps:``); else by StartTLS."

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``ldaps://host[:port]`` or ``ldap://host[:port]``.

        Raises:
            ConfigurationError: It is neither, or says more than that.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError("ldap_url does not parse") from None
        if (
            parts.scheme not in _PORTS
            or not parts.hostname
            or parts.path not in {"", "/"}
            or parts.query
            or parts.fragment
            or parts.username is not None
        ):
            raise ConfigurationError(
                "ldap_url: write ldaps://HOST or ldaps://HOST:PORT"
            )
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            is_tls=parts.scheme == "ldaps",
        )

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by its address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        scheme = "ldaps" if self.is_tls else "ldap"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapTls:
    """How a connection is protected."""

    ca_file: Path | None = None
    "Roots that the server's certificate must lead to; None: those of the system."
    start_tls: bool = True
    "Before anything is said over ``ldap:``; without it only loopback is spoken to."

    def check(self, server: LdapServer) -> None:
        """Refuse to speak in the clear beyond this machine.

        Raises:
            ConfigurationError: That is what these settings come to.
        """
        if not (server.is_tls or self.start_tls or server.is_loopback):
            raise ConfigurationError(
                f"{server} would be spoken to in the clear: write ldaps://, or leave "
                "ldap_start_tls on"
            )

    def context(self) -> ssl.SSLContext:
        """Return what makes a socket a protected one.

        Raises:
            ConfigurationError: The file of roots can't be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError:
            raise ConfigurationError("ldap_ca_file can't be used") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class LdapConnection:
    """One connection, for one thread."""

    def __init__(self, connection: "ldap3.Connection") -> None:
        self._connection = connection

    @property
    def protection(self) -> str:
        """What protects it, in a word."""
        inner = getattr(self._connection.socket, "inner", None)
        return str(inner.version()) if isinstance(inner, ssl.SSLSocket) else "nothing"

    def bind(self, dn: str, password: bytes) -> bool:
        """Return whether *password* is that of *dn*.

        Raises:
            UnavailableError: The server can't tell.
            ValueError: No name or no password: that would be an anonymous bind.
        """
        if not dn or not password:
            raise ValueError("a bind has a name and a password")
        self._insist_on_open()
        with _translated():
            self._connection.user = dn
            # Octets are sent as they are: preparation may leave nothing of a text.
            self._connection.password = password
            self._connection.bind(read_server_info=False)
        result = self._code()
        if result != _OK and result not in _WRONG:
            raise UnavailableError(f"the directory answers a bind with {result}")
        return result == _OK

    def search(
        self,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        *,
        most: int,
        only_base: bool = False,
    ) -> tuple[Entry, ...]:
        """Return at most *most* entries, and one more where there are more.

        Raises:
            UnavailableError: The server can't tell.
        """
        self._insist_on_open()
        with _translated():
            self._connection.search(
                base,
                search_filter,
                search_scope="BASE" if only_base else "SUBTREE",
                dereference_aliases="NEVER",
                attributes=list(attributes) or ["1.1"],
                size_limit=most + 1,
            )
            found = self._connection.response or ()
        result = self._code()
        if result == _NO_SUCH_OBJECT:
            return ()
        if result not in {_OK, _SIZE_LIMIT}:
            raise UnavailableError(f"the directory answers a search with {result}")
        return tuple(
            Entry(
                dn=one["dn"],
                attributes={
                    name.lower(): tuple(values)
                    for name, values in one["raw_attributes"].items()
                },
            )
            for one in found
            # Others are references to other servers.
            if one.get("type") == "searchResEntry"
        )[: most + 1]

    def _insist_on_open(self) -> None:
        # The driver would open a closed connection anew: another one, in the clear.
        inner = getattr(self._connection, "socket", None)
        if self._connection.closed or not isinstance(inner, _BoundedSocket):
            raise UnavailableError("the directory has closed the connection")

    def _code(self) -> int:
        result = self._connection.result
        code = result.get("result") if isinstance(result, dict) else None
        return code if isinstance(code, int) else -1


@contextmanager
def connected(
    server: LdapServer, tls: LdapTls, context: ssl.SSLContext, *, deadline: float
) -> Iterator[LdapConnection]:
    """Give a protected connection, and end it.

    Args:
        server: Which.
        tls: How it is protected.
        context: From `LdapTls.context`.
        deadline: On the monotonic clock, in seconds: nothing lasts longer.

    Raises:
        ConfigurationError: It would be in the clear.
        UnavailableError: Not in time, or not protected.
    """
    tls.check(server)
    connection = _made(server, context, deadline)
    try:
        with _translated():
            connection.open(read_server_info=False)
            if not server.is_tls and tls.start_tls:
                connection.start_tls(read_server_info=False)
                if not isinstance(connection.socket.inner, ssl.SSLSocket):
                    raise UnavailableError("the directory offers no TLS")
        yield LdapConnection(connection)
    finally:
        with suppress(Exception):
            # Whatever the driver of a socket that is gone may say.
            connection.strategy.close()


def load_driver() -> None:
    """Load what takes a while, before somebody waits for it."""
    importlib.import_module("ldap3")


def _made(
    server: LdapServer, context: ssl.SSLContext, deadline: float
) -> "ldap3.Connection":
    # Only where a directory is used: it is large.
    import ldap3  # noqa: PLC0415 - see above

    class _Tls(ldap3.Tls):  # type: ignore[misc]  # it has no types
        """The driver's own takes old versions, and names that are not the host's."""

        def wrap_socket(self, connection: "ldap3.Connection", **_: bool) -> None:
            bare = getattr(connection.socket, "inner", connection.socket)
            bare.settimeout(_left_s(deadline))
            connection.socket = _BoundedSocket(
                context.wrap_socket(bare, server_hostname=server.host), deadline
            )

    tls = _Tls(validate=ssl.CERT_REQUIRED)
    connection = ldap3.Connection(
        ldap3.Server(
            server.host,
            port=server.port,
            use_ssl=server.is_tls,
            get_info=ldap3.NONE,
            tls=tls,
        ),
        authentication=ldap3.SIMPLE,
        user="cn=nobody",
        password=b"-",
        auto_referrals=False,
        check_names=False,
        read_only=True,
    )

    def open_socket(address: _Address, *_: bool, **__: bool) -> None:
        bare = socket.socket(*address[:3])
        try:
            bare.settimeout(_left_s(deadline))
            bare.connect(address[4])
            connection.socket = _BoundedSocket(bare, deadline)
            if server.is_tls:
                tls.wrap_socket(connection)
        except OSError:
            bare.close()
            raise
        connection.closed = False

    # The driver's own binds each socket to a port first: who serves may not
    # (`vault.confine`), and it leaves those open that did not connect.
    connection.strategy._open_socket = open_socket  # noqa: SLF001 - there is no other way
    return connection


_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]
"As `socket.getaddrinfo` has it."


class _Socket(Protocol):
    def settimeout(self, seconds: float) -> None: ...
    def recv(self, size: int) -> bytes: ...
    def sendall(self, octets: bytes) -> None: ...
    def shutdown(self, how: int) -> None: ...
    def close(self) -> None: ...


class _BoundedSocket:
    """A socket that knows its deadline and has a limit of octets."""

    def __init__(self, inner: _Socket, deadline: float) -> None:
        self.inner = inner
        self._deadline = deadline
        self._left = _MAX_OCTETS

    def recv(self, size: int) -> bytes:
        self.inner.settimeout(_left_s(self._deadline))
        octets = self.inner.recv(min(size, self._left + 1))
        self._left -= len(octets)
        if self._left < 0:
            raise OSError("the directory sends too much")
        return octets

    def sendall(self, octets: bytes) -> None:
        self.inner.settimeout(_left_s(self._deadline))
        self.inner.sendall(octets)

    def shutdown(self, how: int) -> None:
        self.inner.shutdown(how)

    def close(self) -> None:
        self.inner.close()


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("out of time")
    return left_s


@contextmanager
def _translated() -> Iterator[None]:
    from ldap3.core.exceptions import LDAPException  # noqa: PLC0415 - as above

    try:
        yield
    except (LDAPException, OSError) as exc:
        # The driver's words may quote what was sent.
        raise UnavailableError(
            f"the directory does not answer ({type(exc).__name__})"
        ) from None

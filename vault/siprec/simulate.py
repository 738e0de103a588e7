"""A simulated session recording client: carries a call to a recorder by SIPREC.

It stands where a PBX or SBC stands: it invites, acknowledges, changes and hangs up,
over UDP, TCP or TLS, and answers a challenge.  `callvault simulate --siprec` uses it;
so do tests.  What is said in the call is `vault.tap.simulate`'s.

Guarantees: every wait ends; a final answer to an INVITE is always acknowledged.

Left to others: media (`vault.tap.simulate`).

Spec: RFC 7866, section 6; RFC 3261, sections 8.1, 12, 13.2.2.4, 17.1 and 22.
"""

import hashlib
import secrets
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from vault.core.endpoints import Endpoint
from vault.core.errors import InvalidInputError, UnavailableError
from vault.core.secrets import SecretBytes
from vault.sip.framing import Framer
from vault.sip.headers import NameAddr
from vault.sip.messages import Headers, Request, Response, parse_message, respond
from vault.siprec.simulated_bodies import multipart

_T1_S: Final = 0.5
_T2_S: Final = 4.0
_DATAGRAM_BYTES: Final = 65_535
_CREATED: Final = range(200, 300)
_PROVISIONAL: Final = range(100, 200)
_UNAUTHORIZED: Final = 401
_HASHES: Final = {"SHA-256": "sha256", "MD5": "md5"}
_ALLOW: Final = "INVITE, ACK, BYE, CANCEL, UPDATE, OPTIONS"

Header = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a recorder listens."""

    transport: str
    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``tcp:127.0.0.1:5060``; without a transport it is TCP.

        Raises:
            InvalidInputError: Not that.
        """
        transport, _, rest = text.partition(":")
        if transport not in {"udp", "tcp", "tls"}:
            transport, rest = "tcp", text
        try:
            at = Endpoint(rest)
        except ValueError:
            raise InvalidInputError(
                "a recorder is named as udp:, tcp: or tls:ADDRESS:PORT"
            ) from None
        return cls(transport=transport, address=at.host, port=at.port)

    @property
    def family(self) -> socket.AddressFamily:
        """Of its address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.transport}:{host}:{self.port}"


class RecordingClient:
    """One recording client and one dialog; blocks while it waits."""

    def __init__(
        self,
        target: Target,
        *,
        username: str = "",
        password: SecretBytes | None = None,
        tls: ssl.SSLContext | None = None,
        within_s: float = 10.0,
    ) -> None:
        """Open a socket.

        Args:
            target: Whom to speak to.
            username: For a challenge; the device's name.
            password: For a challenge; the device's token.
            tls: What to trust and to show, for TLS.
            within_s: Longest wait for an answer.

        Raises:
            UnavailableError: Nobody listens there, or its certificate is refused.
        """
        self._target = target
        self._username = username
        self._password = password
        self._within_s = within_s
        self._inbox: deque[Request | Response] = deque()
        self._framer = Framer()
        self._socket = self._connected(tls)
        self.call_id = secrets.token_hex(12)
        self.local_tag = secrets.token_hex(6)
        self.remote_tag = ""
        self.remote_target = f"sip:srs@{self._peer_host()}"
        self.routes: tuple[str, ...] = ()
        "Proxies that stay in the dialog (RFC 3261, section 12.1.2)."
        self.cseq = 0
        self.requests: list[Request] = []
        "What the recorder has asked of us; answered with 200."
        self.answers: list[Response] = []
        "Every final answer, also those that came again."

    def close(self) -> None:
        """Close the socket; the dialog stays as it is."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def host(self) -> str:
        """Our address, as it is seen in URIs."""
        return self._own_host()

    # -- a call ------------------------------------------------------------------

    def invite(
        self, sdp: str, metadata: bytes = b"", *, headers: Iterable[Header] = ()
    ) -> Response:
        """Offer a recording, or a change of it; acknowledge the answer."""
        body, content_type = multipart(sdp, metadata)
        wanted = [("Require", "siprec"), ("Accept", "application/sdp"), *headers]
        return self.ask("INVITE", wanted, body, content_type)

    def update(self, sdp: str = "", metadata: bytes = b"") -> Response:
        """Change the recording, or refresh it."""
        return self.ask("UPDATE", (), *multipart(sdp, metadata))

    def bye(self) -> Response:
        """End the recording."""
        return self.ask("BYE")

    def options(self) -> Response:
        """Ask whether the recorder takes calls."""
        return self.ask("OPTIONS")

    def ask(
        self,
        method: str,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> Response:
        """Send a request and return its final answer, the first challenge answered.

        Raises:
            UnavailableError: Nobody has answered.
        """
        headers = tuple(headers)
        answer = self._asked(method, headers, body, content_type)
        if answer.status == _UNAUTHORIZED and self._password is not None:
            proof = self._proof(method, answer)
            answer = self._asked(method, (*headers, proof), body, content_type)
        return answer

    # -- messages ------------------------------------------------------------------

    def request(
        self,
        method: str,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        content_type: str = "",
        *,
        cseq: int = 0,
    ) -> Request:
        """Make the next request of the dialog; *cseq* 0 takes the next number."""
        self.cseq = cseq or self.cseq + 1
        to = f"<{self._address_of('srs')}>"
        rows = [
            ("Via", self._via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self._address_of('src')}>;tag={self.local_tag}"),
            ("To", f"{to};tag={self.remote_tag}" if self.remote_tag else to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} {method}"),
            *(("Route", one) for one in self.routes),
        ]
        if method in {"INVITE", "UPDATE", "OPTIONS"}:
            rows += [("Contact", self._contact()), ("Allow", _ALLOW)]
        rows += headers
        if body:
            rows.append(("Content-Type", content_type))
        return Request(
            method=method, uri=self.remote_target, headers=Headers(rows), body=body
        )

    def send(self, message: Request | Response) -> None:
        """Send one message."""
        self.send_octets(bytes(message))

    def send_octets(self, octets: bytes) -> None:
        """Send octets as they are; raises as `receive` does."""
        try:
            self._socket.sendall(octets)
        except OSError as exc:
            raise self._away(exc) from None

    def receive(self, within_s: float | None = None) -> Request | Response:
        """Return the next message.

        Raises:
            UnavailableError: None came in time, or the connection was closed.
        """
        deadline_s = time.monotonic() + (
            self._within_s if within_s is None else within_s
        )
        while not self._inbox:
            self._read(deadline_s - time.monotonic())
        return self._inbox.popleft()

    def acknowledge(self, invite: Request, answer: Response, body: bytes = b"") -> None:
        """Send the ACK of a final answer to *invite*."""
        number = invite.headers.one("CSeq").partition(" ")[0]
        refused = answer.status not in _CREATED
        rows = [
            # Of a refusal it belongs to the INVITE's transaction (17.1.1.3).
            ("Via", invite.headers.one("Via") if refused else self._via()),
            ("Max-Forwards", "70"),
            ("From", invite.headers.one("From")),
            ("To", answer.headers.one("To")),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} ACK"),
            *(("Route", one) for one in (() if refused else self.routes)),
        ]
        if body:
            rows.append(("Content-Type", "application/sdp"))
        uri = invite.uri if refused else self.remote_target
        self.send(Request(method="ACK", uri=uri, headers=Headers(rows), body=body))

    # -- inside ----------------------------------------------------------------------

    def _asked(
        self, method: str, headers: tuple[Header, ...], body: bytes, content_type: str
    ) -> Response:
        request = self.request(method, headers, body, content_type)
        answer = self._answer_of(request)
        self._learn(method, answer)
        if method == "INVITE":
            self.acknowledge(request, answer)
        return answer

    def _answer_of(self, request: Request) -> Response:
        """Send *request* until it is answered (RFC 3261, section 17.1)."""
        self.send(request)
        now_s = time.monotonic()
        deadline_s, wait_s, again_s = now_s + self._within_s, _T1_S, now_s + _T1_S
        while True:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise UnavailableError(f"{self._target} has not answered")
            try:
                message = self.receive(min(left_s, again_s - time.monotonic()))
            except TimeoutError:
                if self._target.transport == "udp":
                    self.send(request)
                wait_s = min(2 * wait_s, _T2_S)
                again_s = time.monotonic() + wait_s
                continue
            if isinstance(message, Request):
                self._take(message)
            elif message.status not in _PROVISIONAL and (
                message.headers.one("CSeq") == request.headers.one("CSeq")
            ):
                self.answers.append(message)
                return message

    def _take(self, request: Request) -> None:
        if request.method != "ACK":
            self.requests.append(request)
            self.send(respond(request, 200))

    def _learn(self, method: str, answer: Response) -> None:
        if answer.status not in _CREATED or method not in {"INVITE", "UPDATE"}:
            return
        if not self.remote_tag:
            self.routes = answer.headers.values("Record-Route")[::-1]
        self.remote_tag = NameAddr.parse(answer.headers.one("To")).tag
        contact = answer.headers.get("Contact")
        if contact:
            self.remote_target = NameAddr.parse(contact).uri

    def _proof(self, method: str, answer: Response) -> Header:
        """Answer a challenge, the strongest first.  Spec: RFC 7616, RFC 8760."""
        for value in answer.headers.all("WWW-Authenticate"):
            said = _parameters(value.partition(" ")[2])
            name = said.get("algorithm", "MD5")
            if name not in _HASHES:
                continue
            assert self._password is not None
            token = self._password.reveal().decode()
            uri, nonce, mark = self.remote_target, said["nonce"], secrets.token_hex(8)
            first = _digest(name, f"{self._username}:{said['realm']}:{token}")
            second = _digest(name, f"{method}:{uri}")
            proof = _digest(name, f"{first}:{nonce}:00000001:{mark}:auth:{second}")
            fields = {
                "username": f'"{self._username}"',
                "realm": f'"{said["realm"]}"',
                "nonce": f'"{nonce}"',
                "uri": f'"{uri}"',
                "response": f'"{proof}"',
                "algorithm": name,
                "cnonce": f'"{mark}"',
                "qop": "auth",
                "nc": "00000001",
            }
            listed = ", ".join(f"{key}={value}" for key, value in fields.items())
            return "Authorization", f"Digest {listed}"
        raise UnavailableError("the recorder challenges by no algorithm that is known")

    def _connected(self, tls: ssl.SSLContext | None) -> socket.socket:
        at, udp = self._target, self._target.transport == "udp"
        kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
        opened = socket.socket(at.family, kind)
        try:
            opened.settimeout(self._within_s)
            opened.connect((at.address, at.port))
            if at.transport == "tls":
                trusted = tls or ssl.create_default_context()
                opened = trusted.wrap_socket(opened, server_hostname=at.address)
        except OSError as exc:
            opened.close()
            raise self._away(exc) from None
        return opened

    def _away(self, exc: OSError) -> UnavailableError:
        return UnavailableError(f"{self._target}: {exc.strerror or exc}")

    def _read(self, within_s: float) -> None:
        self._socket.settimeout(max(0.001, within_s))
        try:
            octets = self._socket.recv(_DATAGRAM_BYTES)
        except TimeoutError:
            raise
        except OSError as exc:
            raise self._away(exc) from None
        if self._target.transport == "udp":
            self._inbox.append(parse_message(octets))
            return
        if not octets:
            raise UnavailableError(f"{self._target} has closed the connection")
        self._inbox.extend(
            parse_message(one)
            for one in self._framer.feed(octets)
            if isinstance(one, bytes)
        )

    def _via(self) -> str:
        name = self._target.transport.upper()
        return f"SIP/2.0/{name} {self._own_host()};branch=z9hG4bK{secrets.token_hex(8)}"

    def _contact(self) -> str:
        by = f";transport={self._target.transport}"
        return f"<sip:src@{self._own_host()}{by}>;+sip.src"

    def _address_of(self, user: str) -> str:
        return f"sip:{user}@{self._peer_host()}"

    def _own_host(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _peer_host(self) -> str:
        return str(self._target).partition(":")[2]


def _parameters(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        found[name.strip().lower()] = value.strip().strip('"')
    return found


def _digest(name: str, text: str) -> str:
    return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()

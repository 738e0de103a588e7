"""An OpenID provider that does whatever a test says: signs anything, answers anything.

A plain HTTP server on loopback.  Every document that it serves is a value that a test
replaces; every request that reaches it is kept.
"""

import base64
import functools
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Json = dict[str, Any]
CLIENT_ID: Final = "callvault"


@dataclass(kw_only=True)
class Reply:
    """What is answered to one path."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(
        default_factory=lambda: {"Content-Type": "application/json"}
    )
    drip_s: float = 0
    "Seconds between two octets of the body; 0: all at once."


def json_reply(value: object, status: int = 200) -> Reply:
    """Return *value* as JSON."""
    return Reply(body=json.dumps(value).encode(), status=status)


class HostileIdp:
    """The provider: its keys, its documents, and what it was asked."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.name = f"lena-{secrets.token_hex(4)}"
        "What the person of its tokens is called: of two providers there are two."
        self.rsa, self.ec, self.ed = _keys()
        self.metadata: Json = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "end_session_endpoint": f"{issuer}/end",
            "authorization_response_iss_parameter_supported": True,
        }
        self.published: list[Json] = [
            {**key.as_dict(private=False), "use": "sig"}
            for key in (self.rsa, self.ec, self.ed)
        ]
        self.token_answer: Json = {}
        self.userinfo: Json = {}
        self.replies: dict[str, Reply] = {}
        "By path; what stands here is answered instead."
        self.asked: list[tuple[str, str]] = []
        "Method and path of every request."
        self.sent: list[tuple[Mapping[str, str], bytes]] = []
        "Headers and body of every request."

    def claims(self, nonce: str, /, **changes: object) -> Json:
        """Return the claims of a sound ID token, but for *changes*; None removes."""
        now = int(time.time())
        claims: Json = {
            "iss": self.issuer,
            "sub": "1001",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "preferred_username": self.name,
            "groups": ["cn=team-leads"],
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def sign(
        self,
        claims: object,
        alg: str = "RS256",
        *,
        key: RSAKey | ECKey | OKPKey | None = None,
        secret: bytes = b"",
        **header: object,
    ) -> str:
        """Return a compact JWS, signed by *alg* as its bare algorithm does it.

        HMAC algorithms take *secret*: whatever octets a test has.
        """
        key = key or {"RS": self.rsa, "PS": self.rsa, "ES": self.ec}.get(
            alg[:2], self.ed
        )
        members = {"alg": alg, "kid": key.kid, **header}
        shown = {name: it for name, it in members.items() if it is not None}
        text = f"{_b64(json.dumps(shown))}.{_b64(json.dumps(claims))}"
        if secret:
            signature = hmac.digest(secret, text.encode(), f"sha{alg[2:]}")
        else:
            signature = JWSRegistry.algorithms[alg].sign(text.encode(), key)
        return f"{text}.{_b64(signature)}"

    def gives(self, id_token: str, **more: object) -> None:
        """Answer the next code with *id_token*."""
        self.token_answer = {
            "id_token": id_token,
            "access_token": "an-access-token",
            "token_type": "Bearer",
            **more,
        }

    def reply_to(self, path: str) -> Reply:
        """Return what is answered to *path*."""
        if path in self.replies:
            return self.replies[path]
        documents: Mapping[str, Callable[[], object]] = {
            "/.well-known/openid-configuration": lambda: self.metadata,
            "/keys": lambda: {"keys": self.published},
            "/token": lambda: self.token_answer,
            "/userinfo": lambda: self.userinfo,
        }
        if path not in documents:
            return Reply(status=404)
        return json_reply(documents[path]())


@functools.cache
def _keys() -> tuple[RSAKey, ECKey, OKPKey]:
    # Once: a modulus takes its time.
    return (
        RSAKey.generate_key(2048, {"kid": "rsa"}),
        ECKey.generate_key("P-256", {"kid": "ec"}),
        OKPKey.generate_key("Ed25519", {"kid": "ed"}),
    )


@contextmanager
def hostile_idp() -> Iterator[HostileIdp]:
    """Give a provider that serves on loopback."""

    class Door(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            idp.sent.append((dict(self.headers), self.rfile.read(length)))
            idp.asked.append((self.command, self.path))
            reply = idp.reply_to(self.path.partition("?")[0])
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                pieces = (
                    [reply.body]
                    if not reply.drip_s
                    else [bytes([octet]) for octet in reply.body]
                )
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    if closing.wait(reply.drip_s):
                        return
            except OSError:
                return  # whoever asked has gone

        do_GET = do_POST = _serve  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    closing = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    idp = HostileIdp(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="idp")
    thread.start()
    try:
        yield idp
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _b64(value: str | bytes) -> str:
    octets = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def raw_token(header: object, claims: object, signature: bytes = b"") -> str:
    """Return three parts that nobody has signed."""
    return f"{_b64(json.dumps(header))}.{_b64(json.dumps(claims))}.{_b64(signature)}"

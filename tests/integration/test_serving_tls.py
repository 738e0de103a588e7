"""What the HTTP listeners agree to over TLS, scanned from outside."""

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.certificates import make_certificate
from tests.simulators.web_server import serving
from vault.core.errors import ConfigurationError
from vault.serving.tls import server_context

pytestmark = pytest.mark.network
FORWARD_SECRET = re.compile(
    r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)"
)


async def ok(scope: Any, receive: Any, send: Any) -> None:
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    cert, key = make_certificate(tmp_path_factory.mktemp("tls"))
    with serving(ok, tls=server_context(cert, key, name="web")) as port:
        yield port


def shakes_hands(
    port: int,
    *,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ciphers: str = "ALL:@SECLEVEL=0",
) -> tuple[str, str] | None:
    """Return version and cipher suite, or None where there is no agreement."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        try:
            with context.wrap_socket(plain) as wrapped:
                suite = wrapped.cipher()
                assert suite is not None
                return str(wrapped.version()), suite[0]
        except (ssl.SSLError, ConnectionError):
            return None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_it_speaks_no_version_before_1_2(port: int, version: ssl.TLSVersion) -> None:
    assert shakes_hands(port, version=version) is None


def _every_suite() -> list[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return sorted(
        suite["name"]
        for suite in context.get_ciphers()
        if suite["protocol"] != "TLSv1.3"
    )


def test_every_suite_of_1_2_that_is_taken_has_forward_secrecy(port: int) -> None:
    suites = _every_suite()
    taken = {
        suite
        for suite in suites
        if shakes_hands(port, ciphers=f"{suite}:@SECLEVEL=0") is not None
    }

    assert len(suites) > 50
    assert taken
    assert [] == [suite for suite in taken if not FORWARD_SECRET.fullmatch(suite)]


def test_it_speaks_1_3(port: int) -> None:
    found = shakes_hands(port, version=ssl.TLSVersion.TLSv1_3)

    assert found is not None
    assert "TLSv1.3" == found[0]


@pytest.mark.skipif(shutil.which("sslscan") is None, reason="needs sslscan")
def test_sslscan_finds_nothing_old_and_nothing_weak(port: int) -> None:
    scan = subprocess.run(
        ["sslscan", "--no-colour", "--no-check-certificate", f"127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    versions = dict(
        re.findall(r"^(SSLv\d|TLSv1\.\d)\s+(enabled|disabled)", scan, re.MULTILINE)
    )
    accepted = re.findall(
        r"^(?:Preferred|Accepted)\s+(\S+)\s+\d+ bits\s+(\S+)", scan, re.MULTILINE
    )

    assert {"TLSv1.2", "TLSv1.3"} == {
        name for name, said in versions.items() if said == "enabled"
    }
    assert accepted
    assert [] == [
        suite
        for version, suite in accepted
        if version != "TLSv1.3" and not FORWARD_SECRET.fullmatch(suite)
    ]
    assert "Compression enabled" not in scan
    assert not re.findall(r"(?<!not )vulnerable", scan)
    assert not re.findall(r"(Secure|Insecure|Client).*renegotiation supported", scan)


def test_who_does_not_speak_tls_gets_nothing(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")

        assert not plain.recv(100).startswith(b"HTTP/")


def test_a_key_with_a_passphrase_stops_the_start_and_asks_nobody(
    tmp_path: Path,
) -> None:
    cert, key = make_certificate(tmp_path)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        [
            "openssl",
            "ec",
            "-aes256",
            "-in",
            key,
            "-out",
            locked,
            "-passout",
            "pass:abcd",
        ],
        check=True,
        capture_output=True,
    )

    with pytest.raises(ConfigurationError):
        server_context(cert, locked, name="web")

"""H9 and H11 behind real proxies: who asks is known, and nothing is smuggled."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.simulators.certificates import make_certificate
from tests.simulators.http_proxies import in_front, installed
from tests.simulators.raw_http import smuggled
from tests.simulators.web_server import serving
from tests.simulators.web_vault import PASSWORD, WebVault, running
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

pytestmark = pytest.mark.network

EDGE = EdgeConfig(
    requests_per_minute=10**6,
    spares_loopback=True,
    trusted_proxies=("127.0.0.1",),
    deny=("127.0.0.66",),
)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    with running(tmp_path_factory.mktemp("vault"), WebConfig(edge=EDGE)) as vault:
        vault.crew()
        yield vault


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def port(
    request: pytest.FixtureRequest,
    vault: WebVault,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    if not installed(request.param):
        pytest.skip(f"needs {request.param}")
    folder = tmp_path_factory.mktemp(request.param)
    with (
        serving(vault.app()) as backend,
        in_front(request.param, folder, backend, make_certificate(folder)) as port,
    ):
        yield port


def client(port: int, *, whence: str = "127.0.0.9") -> httpx.Client:
    transport = httpx.HTTPTransport(verify=False, local_address=whence)
    return httpx.Client(
        base_url=f"https://127.0.0.1:{port}", transport=transport, timeout=30
    )


def test_h11_the_trail_has_the_address_of_the_client(
    port: int, vault: WebVault
) -> None:
    with client(port) as asking:
        answer = asking.post(
            "/api/v1/sessions",
            json={"user": "ada", "password": PASSWORD},
            headers={
                "X-Forwarded-For": "203.0.113.1",
                "Forwarded": "for=203.0.113.2",
                "X-Real-IP": "203.0.113.3",
            },
        )
    leaf = vault.leaves()[-1]

    assert 201 == answer.status_code
    assert ("access.session.opened", "127.0.0.9") == (leaf["action"], leaf["origin"])
    assert "max-age=63072000" in answer.headers["strict-transport-security"]


def test_h11_who_is_shut_out_stays_so_whatever_they_write(port: int) -> None:
    with client(port, whence="127.0.0.66") as asking:
        found = [
            asking.get("/healthz", headers=headers).status_code
            for headers in ({}, {"X-Forwarded-For": "127.0.0.9"})
        ]

    assert [403, 403] == found


FRAMINGS = [
    name
    for name in sorted(smuggled())
    if name.startswith(("te-", "cl-", "two-l", "same", "plus", "bare", "obs", "chunk"))
]


@pytest.mark.parametrize("name", FRAMINGS)
def test_h9_no_second_request_gets_through(
    port: int, vault: WebVault, name: str
) -> None:
    """
    The second request would be ada's sign-in, written into the first one's body or
    behind it; what the proxy itself takes for a second request is no smuggling.
    """
    before = len(vault.leaves())
    body = b'{"user": "ada", "password": "%s"}' % PASSWORD.encode()
    hidden = (
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nX-Forwarded-For: 203.0.113.77\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    ) + body
    answer = over_tls(port, smuggled(b"127.0.0.1")[name] + hidden)
    new = vault.leaves()[before:]

    assert len(new) <= 1
    assert "203.0.113.77" not in str(new)
    assert answer.count(b"HTTP/1.1 200") <= 1


def over_tls(port: int, octets: bytes) -> bytes:
    """Send *octets* by HTTP/1.1 over TLS, and return all that comes back."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found = b""
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    with plain, context.wrap_socket(plain) as peer:
        # The last answer ends the connection, or nothing more will come.
        peer.settimeout(0.4)
        try:
            peer.sendall(octets)
            while chunk := peer.recv(65_536):
                found += chunk
        except (TimeoutError, OSError):
            pass
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    "header",
    [
        "Transfer-Encoding: chunked",
        "Content-Length: 3",
        "X: a\r\nContent-Length: 0\r\n\r\nGET /x HTTP/1.1",
        "Connection: close, X-Forwarded-For",
    ],
    ids=["te", "cl", "crlf", "hop-by-hop"],
)
def test_h9_http_2_is_not_turned_into_two_requests(
    port: int, vault: WebVault, header: str, request: pytest.FixtureRequest
) -> None:
    if "haproxy" not in request.node.name:
        pytest.skip("speaks HTTP/1.1 to browsers here")
    before = len(vault.leaves())
    asked = subprocess.run(
        ["curl", "-sk", "--http2", "--interface", "127.0.0.9", "-m", "10", "-w", "%{http_code} %{http_version}",
         "-o", "/dev/null", "-H", header, "-H", "Content-Type: application/json",
         "-d", '{"user": "nobody", "password": "x"}',
         f"https://127.0.0.1:{port}/api/v1/sessions"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    new = vault.leaves()[before:]

    assert len(new) <= 1
    assert {leaf["origin"] for leaf in new} <= {"127.0.0.9"}
    assert asked.split()[0] in {"000", "400", "401", "422", "502"}

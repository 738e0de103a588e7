"""Both listeners over TLS, as they are beyond one machine."""

import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.simulators.certificates import make_certificate
from tests.simulators.site import NUMBERS, PEOPLE, Site, serving

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-small")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def sheltered(certificate: tuple[Path, Path]) -> Iterator[Site]:
    """An installation whose listeners speak TLS alone."""
    cert, key = map(str, certificate)
    with serving(
        people=PEOPLE[:1], CALLVAULT_TLS_CERT=cert, CALLVAULT_TLS_KEY=key
    ) as site:
        yield site


def test_a_call_is_offered_and_played_over_tls(sheltered: Site) -> None:
    heard = sheltered.heard(seconds=1.0)

    audio = sheltered.sam.get(f"/recordings/{heard.id}/audio")

    assert heard.state == ("ready", None)
    assert (200, b"fLaC") == (audio.status_code, audio.content[:4])
    assert "max-age=" in audio.headers["strict-transport-security"]


def test_the_cookie_goes_over_tls_only(sheltered: Site) -> None:
    made = sheltered.vault.client(sheltered.vault.web).post(
        "/sessions",
        json={"user": "sam", "password": sheltered.vault.passwords["sam"]},
    )

    cookie = made.headers["set-cookie"]
    assert cookie.startswith("__Host-callvault=")
    for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert word.lower() in cookie.lower()


@pytest.mark.parametrize("listener", ["web", "forks"])
class TestEachListener:
    def test_it_speaks_nothing_but_tls(self, sheltered: Site, listener: str) -> None:
        endpoint = getattr(sheltered.vault, listener)

        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://{endpoint}/healthz", timeout=10)

    def test_it_refuses_tls_1_1(
        self, sheltered: Site, listener: str, certificate: tuple[Path, Path]
    ) -> None:
        host, _, port = getattr(sheltered.vault, listener).partition(":")
        agreed = [
            _agreed(host, int(port), certificate[0], highest)
            for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        ]

        assert [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3] == agreed
        with pytest.raises(OSError, match=r"EOF|ALERT_PROTOCOL_VERSION|reset"):
            _agreed(host, int(port), certificate[0], ssl.TLSVersion.TLSv1_1)


def _agreed(
    host: str, port: int, trusted: Path, highest: ssl.TLSVersion
) -> ssl.TLSVersion:
    """Return the version that a client and the listener agree on."""
    client = ssl.create_default_context(cafile=str(trusted))
    # OpenSSL of today would not even offer the old ones by itself.
    client.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = highest
    with (
        socket.create_connection((host, port), timeout=30) as plain,
        client.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        version = wrapped.version()
        assert version is not None
        return ssl.TLSVersion[version.replace(".", "_")]


def test_simulate_speaks_tls_too(
    sheltered: Site, certificate: tuple[Path, Path]
) -> None:
    token = sheltered.vault.place / "token"
    token.write_text(sheltered.pbx.token)

    done = sheltered.vault.run(
        "simulate", "--forks", f"https://{sheltered.vault.forks}", "--token-file",
        token, "--seconds", "1", "--workgroup", "Claims",
        "--caller", NUMBERS["caller"], "--json",
        env={"SSL_CERT_FILE": str(certificate[0])},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == 100


def test_a_certificate_that_cannot_be_read_stops_the_start(
    sheltered: Site, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")

    done = sheltered.vault.run(
        "web",
        env={
            "CALLVAULT_TLS_CERT": str(broken),
            "CALLVAULT_TLS_KEY": str(broken),
            "CALLVAULT_WEB_LISTEN": "127.0.0.1:1",
        },
    )

    assert done.returncode == 1
    assert "TLS" in done.stderr
    assert "Traceback" not in done.stderr

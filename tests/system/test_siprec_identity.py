"""Who a recording client is, through ``callvault serve``: certificate and token."""

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.certificates import make_certificate
from tests.simulators.installation import Installation, until
from tests.simulators.ports import free_port
from tests.simulators.siprec_client import SiprecPbx
from vault.sip.messages import Response
from vault.tap.simulate import SimulatedCall

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-siprec-identity")]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def vault(ours: tuple[Path, Path]) -> Iterator[Installation]:
    port = free_port()
    cert, key = map(str, ours)
    vault = Installation(
        {
            "CALLVAULT_SIP_TLS_CERT": cert,
            "CALLVAULT_SIP_TLS_KEY": key,
            "CALLVAULT_SIP_LISTEN": f"tls:127.0.0.1:{port}",
        }
    )
    vault.sip = f"127.0.0.1:{port}"
    try:
        vault.said("init", "--yes")
        vault.start()
        yield vault
    finally:
        vault.close()


def answer(
    vault: Installation,
    ours: tuple[Path, Path],
    name: str,
    token: str,
    shown: tuple[Path, Path] | None = None,
) -> Response:
    """Offer a call over TLS, hang up if it was taken, and return the answer."""
    pbx = SiprecPbx.of(vault, name, token, "tls")
    pbx.tls = ssl.create_default_context(cafile=str(ours[0]))
    if shown is not None:
        pbx.tls.load_cert_chain(*shown)
    client, said = pbx.invited(SimulatedCall(seconds=0.1))
    try:
        if said.status == 200:
            # Refused where a change that is waited for arrives just now.
            assert client.bye().status in {200, 401, 403}
    finally:
        client.close()
    return said


def test_a_device_is_its_certificate_its_list_and_not_revoked(
    vault: Installation, ours: tuple[Path, Path], theirs: tuple[Path, Path]
) -> None:
    options = ("--certificate", str(theirs[0]), "--address", "127.0.0.0/8")
    token = vault.json("device", "add", "sbc", *options)["token"]

    def with_certificate() -> int:
        return answer(vault, ours, "sbc", "no token", theirs).status

    def becomes(status: int) -> bool:
        if with_certificate() == status:
            return True
        # Ten wrong answers are guessing, and not listened to for a minute.
        threading.Event().wait(0.5)
        return False

    until(lambda: becomes(200), "the certificate is known")
    token_alone = answer(vault, ours, "sbc", token)
    another = answer(vault, ours, "sbc", token, ours)
    vault.said("device", "set", "sbc", "--address", "192.0.2.0/24")
    until(lambda: becomes(403), "it may not speak from here")
    vault.said("device", "set", "sbc", "--no-address", "--no-certificate")
    until(lambda: becomes(401), "the certificate is nobody's")
    token_now = answer(vault, ours, "sbc", token)
    vault.said("device", "revoke", "sbc")
    until(
        lambda: answer(vault, ours, "sbc", token).status == 401 or None,
        "the device is refused",
    )

    assert (403, 403) == (token_alone.status, another.status)
    assert "--no-certificate" in (token_alone.headers.get("Warning") or "")
    assert 200 == token_now.status


def test_a_device_that_may_have_one_call_gets_one(
    vault: Installation, ours: tuple[Path, Path]
) -> None:
    token = vault.json("device", "add", "small", "--max-calls", "1")["token"]

    def first() -> int | None:
        status = answer(vault, ours, "small", token).status
        if status != 200:
            # Ten wrong answers are guessing, and not listened to for a minute.
            threading.Event().wait(0.5)
            return None
        return status

    until(first, "the device is known")
    pbx = SiprecPbx.of(vault, "small", token, "tls")
    pbx.tls = ssl.create_default_context(cafile=str(ours[0]))
    running, one = pbx.invited(SimulatedCall(seconds=0.1))
    other, two = pbx.invited(SimulatedCall(seconds=0.1))
    running.bye()
    pbx.close()

    assert 200 == one.status
    assert two.status in {480, 503}
    assert other is not running

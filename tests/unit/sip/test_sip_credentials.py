import os
from pathlib import Path

import pytest

from tests.simulators.tls_certificates import Certified
from vault.core.errors import ConfigurationError
from vault.sip.config import SipConfig
from vault.sip.credentials import Credentials
from vault.sip.peers import Transport


def config(folder: Path) -> SipConfig:
    return SipConfig(
        listen=((Transport.TLS, "127.0.0.1", 0),),
        tls_cert=folder / "ours.crt",
        tls_key=folder / "ours.key",
    )


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(tmp_path: Path) -> None:
    now_s = [0.0]
    Certified.make("sip.test").write(tmp_path, "ours")
    credentials = Credentials(config(tmp_path), clock=lambda: now_s[0])
    credentials.load()
    first = credentials._server
    now_s[0] = 2.0
    credentials.server()
    unchanged = credentials._server
    (tmp_path / "ours.key").write_text("half of a renewal")
    now_s[0] = 4.0
    credentials.server()
    broken = credentials._server
    Certified.make("sip.test").write(tmp_path, "ours")
    os.utime(tmp_path / "ours.crt", ns=(1, 1))
    now_s[0] = 6.0
    credentials.server()

    assert first is unchanged is broken
    assert credentials._server is not first


def test_files_are_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    now_s = [0.0]
    Certified.make("sip.test").write(tmp_path, "ours")
    credentials = Credentials(config(tmp_path), clock=lambda: now_s[0])
    credentials.load()
    first = credentials._server
    Certified.make("sip.test").write(tmp_path, "ours")
    now_s[0] = 0.5
    credentials.server()

    assert first is credentials._server


def test_without_files_there_is_no_tls(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Credentials(config(tmp_path)).load()
    with pytest.raises(ConfigurationError):
        Credentials(SipConfig()).client("sip.test")

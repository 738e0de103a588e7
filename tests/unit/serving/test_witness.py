from pathlib import Path

import pytest

from tests.simulators.trail import signer
from vault.core.endpoints import Endpoint
from vault.core.errors import ConfigurationError
from vault.serving.witness import KEY_FILE, WitnessConfig, logs_in, witness_key

LOGS = (signer().verifier,)


def config(listen: str, **more: object) -> WitnessConfig:
    return WitnessConfig(
        folder=Path("w"),
        name="w",
        logs=LOGS,
        listen=Endpoint(listen),
        **more,  # type: ignore[arg-type] # what the test wants
    )


def test_on_loopback_it_may_speak_without_tls() -> None:
    assert config("127.0.0.1:8084").is_protected
    assert config("[::1]:8084").is_protected


def test_beyond_loopback_it_needs_tls_or_a_proxy_by_name() -> None:
    with pytest.raises(ConfigurationError, match="--tls-cert"):
        config("0.0.0.0:8084")

    assert config("0.0.0.0:443", tls_cert=Path("c"), tls_key=Path("k")).is_protected
    assert config("0.0.0.0:8084", trusted_proxies=("192.0.2.1/32",)).is_protected


def test_a_certificate_and_its_key_go_together() -> None:
    with pytest.raises(ConfigurationError, match="go together"):
        config("127.0.0.1:8084", tls_cert=Path("c"))


def test_a_witness_follows_some_log() -> None:
    with pytest.raises(ConfigurationError, match="logs by their keys"):
        WitnessConfig(
            folder=Path("w"), name="w", logs=(), listen=Endpoint("127.0.0.1:1")
        )


class TestTheKeyFile:
    def test_it_is_made_at_the_first_start_for_its_owner_alone(
        self, tmp_path: Path
    ) -> None:
        made = witness_key(tmp_path / "w", "w.example/w1")
        again = witness_key(tmp_path / "w", "")

        assert made.cosigner == again.cosigner
        assert (0o700, 0o600) == (
            (tmp_path / "w").stat().st_mode & 0o777,
            (tmp_path / "w" / KEY_FILE).stat().st_mode & 0o777,
        )

    def test_one_that_others_may_read_is_refused(self, tmp_path: Path) -> None:
        witness_key(tmp_path, "w.example/w1")
        (tmp_path / KEY_FILE).chmod(0o640)
        with pytest.raises(ConfigurationError, match="0600"):
            witness_key(tmp_path, "")

    def test_a_new_witness_needs_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="--name"):
            witness_key(tmp_path, "")

    def test_a_folder_has_one_witness(self, tmp_path: Path) -> None:
        witness_key(tmp_path, "w.example/w1")
        with pytest.raises(ConfigurationError, match="another folder"):
            witness_key(tmp_path, "w.example/w2")


def test_logs_are_read_one_a_line_without_remarks(tmp_path: Path) -> None:
    file = tmp_path / "logs"
    file.write_text(f"# ours\n\n{signer().verifier}  # since 2026\n")

    assert [str(signer().verifier)] == logs_in(file)
    with pytest.raises(ConfigurationError):
        logs_in(tmp_path / "missing")

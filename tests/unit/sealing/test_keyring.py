import base64
import json
from pathlib import Path
from typing import Any

import pytest

from vault.core import canonical
from vault.core.errors import (
    ConfigurationError,
    KeyUnavailableError,
    SealBrokenError,
    VaultError,
)
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing.envelope import new_dek, wrap
from vault.sealing.keyring import ArgonCost, Keyring, catalog_key_id
from vault.sealing.unwrap import unwrap

CHEAP = ArgonCost(memory_kib=19 * 1024, iterations=2, lanes=1)
PASSPHRASE = SecretBytes(b"correct horse battery staple")
MONTHS = ["2026-11", "2026-12"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def keyring(path: Path) -> Keyring:
    return Keyring.create(path, PASSPHRASE, months=MONTHS, cost=CHEAP)


def rewrite(path: Path, change: Any) -> None:
    members: dict[str, Any] = json.loads(path.read_bytes())
    change(members)
    path.write_bytes(canonical.dumps(members))


class TestUnlock:
    def test_all_keys_come_back(self, keyring: Keyring, path: Path) -> None:
        again = Keyring.unlock(path, PASSPHRASE)

        assert keyring.months() == again.months() == MONTHS
        assert keyring.index_key == again.index_key
        assert keyring.recipients("2026-11") == again.recipients("2026-11")
        key_id = catalog_key_id("2026-12")
        assert keyring.catalog_key(key_id) == again.catalog_key(key_id)
        for name in ("log_signing_key", "roster_signing_key"):
            assert (
                getattr(keyring, name).private_bytes_raw()
                == getattr(again, name).private_bytes_raw()
            )

    @pytest.mark.parametrize("tried", [b"", b"wrong", PASSPHRASE.reveal() + b"\n"])
    def test_a_wrong_passphrase_is_said_and_not_shown(
        self, keyring: Keyring, path: Path, tried: bytes
    ) -> None:
        with pytest.raises(ConfigurationError, match="wrong passphrase") as caught:
            Keyring.unlock(path, SecretBytes(tried))

        assert PASSPHRASE.reveal().decode() not in str(caught.value)

    def test_a_file_that_others_can_read_is_refused(
        self, keyring: Keyring, path: Path
    ) -> None:
        path.chmod(0o640)

        with pytest.raises(ConfigurationError, match="read by others"):
            Keyring.unlock(path, PASSPHRASE)

    @pytest.mark.parametrize(
        "weaker",
        [
            {"memory_kib": 8},
            {"iterations": 1},
            {"lanes": 0},
            {"memory_kib": 2**40},
            {"iterations": 10**9},
            {"lanes": 10**6},
        ],
    )
    def test_unsafe_or_absurd_parameters_are_refused_before_they_run(
        self, keyring: Keyring, path: Path, weaker: dict[str, int]
    ) -> None:
        rewrite(path, lambda members: members["kdf"].update(weaker))

        with pytest.raises(ConfigurationError, match="Argon2id"):
            Keyring.unlock(path, PASSPHRASE)

    @pytest.mark.parametrize("octets", [b"", b"{}", b'{"v":2}', b"\x00" * 100])
    def test_a_file_that_is_no_keyring_is_refused(
        self, path: Path, octets: bytes
    ) -> None:
        path.write_bytes(octets)

        with pytest.raises(ConfigurationError, match="not a keyring"):
            Keyring.unlock(path, PASSPHRASE)

    def test_every_truncation_is_refused(self, keyring: Keyring, path: Path) -> None:
        whole = path.read_bytes()

        for size in range(0, len(whole), 50):
            path.write_bytes(whole[:size])
            with pytest.raises(ConfigurationError):
                Keyring.unlock(path, PASSPHRASE)

    def test_a_removed_secret_is_noticed(self, keyring: Keyring, path: Path) -> None:
        rewrite(path, lambda members: members["secrets"].pop("kek-2026-12"))

        with pytest.raises(SealBrokenError, match="altered"):
            Keyring.unlock(path, PASSPHRASE)

    def test_swapped_secrets_are_noticed(self, keyring: Keyring, path: Path) -> None:
        def swap(members: dict[str, Any]) -> None:
            s = members["secrets"]
            s["index"], s["log-signing"] = s["log-signing"], s["index"]

        rewrite(path, swap)

        with pytest.raises(SealBrokenError):
            Keyring.unlock(path, PASSPHRASE)

    def test_a_flipped_bit_anywhere_is_noticed(
        self, keyring: Keyring, path: Path
    ) -> None:
        whole = path.read_bytes()

        for at in range(3, len(whole), 61):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(VaultError):
                Keyring.unlock(path, PASSPHRASE)


class TestCreate:
    def test_an_empty_passphrase_is_refused(self, path: Path) -> None:
        with pytest.raises(ConfigurationError):
            Keyring.create(path, SecretBytes(b""), months=MONTHS, cost=CHEAP)

    def test_a_keyring_is_never_made_over_another(
        self, keyring: Keyring, path: Path
    ) -> None:
        with pytest.raises(ConfigurationError, match="exists"):
            Keyring.create(path, PASSPHRASE, months=MONTHS, cost=CHEAP)

        assert Keyring.unlock(path, PASSPHRASE).index_key == keyring.index_key

    def test_no_secret_lies_in_the_file(self, keyring: Keyring, path: Path) -> None:
        octets = path.read_bytes()

        secret = keyring.index_key.reveal()
        assert secret.hex().encode() not in octets
        assert base64.b64encode(secret) not in octets

    def test_a_cost_below_the_floor_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            ArgonCost(memory_kib=1024)

    def test_its_repr_shows_no_key(self, keyring: Keyring) -> None:
        assert keyring.index_key.reveal().hex() not in repr(keyring)
        assert repr(keyring).startswith("<Keyring ")


class TestMonths:
    def test_a_new_month_is_durable_before_it_is_used(
        self, keyring: Keyring, path: Path
    ) -> None:
        assert keyring.ensure_month("2027-01") is True
        assert keyring.ensure_month("2027-01") is False

        again = Keyring.unlock(path, PASSPHRASE)
        assert again.months() == [*MONTHS, "2027-01"]
        assert keyring.recipients("2027-01") == again.recipients("2027-01")
        key_id = catalog_key_id("2027-01")
        assert keyring.catalog_key(key_id) == again.catalog_key(key_id)

    def test_a_month_that_cannot_be_written_does_not_exist(
        self, keyring: Keyring, path: Path
    ) -> None:
        path.unlink()
        path.mkdir()

        with pytest.raises(ConfigurationError):
            keyring.ensure_month("2027-01")

        assert keyring.months() == MONTHS

    @pytest.mark.parametrize("month", ["2026-13", "2026-1", "26-01", "", "2026-01-01"])
    def test_what_is_no_month_is_a_bug(self, keyring: Keyring, month: str) -> None:
        with pytest.raises(ValueError):
            keyring.ensure_month(month)

    def test_recipients_are_those_of_now_and_later(self, keyring: Keyring) -> None:
        def labels(month: str) -> list[str]:
            return [each.label for each in keyring.recipients(month)]

        assert labels("2026-11") == MONTHS
        assert labels("2026-12") == ["2026-12"]
        assert labels("2027-01") == []

    @pytest.mark.parametrize(
        "key_id", ["catalog-2027-01", "kek-2026-11", "index", "log-signing", ""]
    )
    def test_only_catalog_keys_are_catalog_keys(
        self, keyring: Keyring, key_id: str
    ) -> None:
        with pytest.raises(KeyUnavailableError):
            keyring.catalog_key(key_id)


class TestOpen:
    def test_every_month_s_envelopes_open(
        self, keyring: Keyring, recording_id: RecordingId
    ) -> None:
        for recipient in keyring.recipients("2026-11"):
            dek = new_dek()
            envelope = wrap(dek, recording_id, [recipient])
            assert dek == unwrap(envelope, recording_id, keyring)

    def test_somebody_else_s_envelope_does_not(
        self, keyring: Keyring, holder: Any, recording_id: RecordingId
    ) -> None:
        with pytest.raises(KeyUnavailableError):
            unwrap(
                wrap(new_dek(), recording_id, holder.recipients()),
                recording_id,
                keyring,
            )

    def test_one_bound_to_another_recording_is_broken(
        self, keyring: Keyring, recording_id: RecordingId
    ) -> None:
        wrapped = wrap(new_dek(), recording_id, keyring.recipients("2026-12"))

        with pytest.raises(SealBrokenError):
            keyring.open(wrapped.recipients[0], b"another info")

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vault.access.factor_key import FactorKey, create_factor_key
from vault.core.errors import ConfigurationError, SealBrokenError
from vault.core.ids import UserId
from vault.core.secrets import SecretBytes

ADA = UserId("aaaaaaaa-0000-4000-8000-000000000000")
BOB = UserId("bbbbbbbb-0000-4000-8000-000000000000")
SECRET = SecretBytes(b"s" * 20)


WHY = "complaint of Mrs Example, Gr\u00fc\u00dfe"


class TestReasons:
    def test_a_reason_opens_for_its_row(self, key: FactorKey) -> None:
        assert WHY == key.reasons.open(key.reasons.seal(WHY, "row-1"), "row-1")

    def test_it_opens_for_no_other_row_and_under_no_other_key(
        self, key: FactorKey
    ) -> None:
        sealed = key.reasons.seal(WHY, ADA)
        other = FactorKey(SecretBytes(b"l" * 32))
        tries = (
            lambda: key.reasons.open(sealed, "row-2"),
            lambda: other.reasons.open(sealed, ADA),
            lambda: key.open(sealed, ADA),
            lambda: key.reasons.open(b"", ADA),
        )

        for attempt in tries:
            with pytest.raises(SealBrokenError):
                attempt()


@pytest.fixture
def key() -> FactorKey:
    return FactorKey(SecretBytes(b"k" * 32))


class TestSeal:
    def test_what_is_sealed_for_a_person_opens_for_them(self, key: FactorKey) -> None:
        assert key.open(key.seal(SECRET, ADA), ADA) == SECRET

    def test_secrets_swapped_between_two_people_open_for_neither(
        self, key: FactorKey
    ) -> None:
        sealed = {ADA: key.seal(SECRET, ADA), BOB: key.seal(SECRET, BOB)}

        for owner, other in ((ADA, BOB), (BOB, ADA)):
            with pytest.raises(SealBrokenError):
                key.open(sealed[other], owner)

    def test_another_key_opens_nothing(self, key: FactorKey) -> None:
        with pytest.raises(SealBrokenError):
            FactorKey(SecretBytes(b"l" * 32)).open(key.seal(SECRET, ADA), ADA)

    @pytest.mark.parametrize("at", [0, 1, 12, 13, 20, -1])
    def test_a_changed_octet_is_noticed(self, key: FactorKey, at: int) -> None:
        sealed = bytearray(key.seal(SECRET, ADA))
        sealed[at] ^= 1

        with pytest.raises(SealBrokenError):
            key.open(bytes(sealed), ADA)

    @pytest.mark.parametrize("octets", [b"", b"\x01", b"\x01" + b"n" * 12, b"\x02"])
    def test_what_was_never_sealed_does_not_open(
        self, key: FactorKey, octets: bytes
    ) -> None:
        with pytest.raises(SealBrokenError):
            key.open(octets, ADA)

    def test_the_same_secret_is_sealed_differently_each_time(
        self, key: FactorKey
    ) -> None:
        assert key.seal(SECRET, ADA) != key.seal(SECRET, ADA)

    def test_the_secret_is_not_in_what_is_kept(self, key: FactorKey) -> None:
        assert SECRET.reveal() not in key.seal(SECRET, ADA)


class TestFile:
    def test_a_new_file_is_private_and_holds_a_key(self, tmp_path: Path) -> None:
        path = tmp_path / "web" / "factor.key"

        create_factor_key(path)

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert len(base64.b64decode(path.read_bytes())) == 32
        FactorKey.load(path)

    def test_a_key_that_is_there_is_never_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "factor.key"
        create_factor_key(path)
        before = path.read_bytes()

        create_factor_key(path)

        assert path.read_bytes() == before

    def test_of_many_that_need_one_at_once_all_find_the_same(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "factor.key"

        def need(_: int) -> bytes:
            create_factor_key(path)
            return path.read_bytes()

        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(need, range(32)))

        assert len(found) == 1
        assert [one.name for one in tmp_path.iterdir()] == ["factor.key"]

    def test_a_file_that_others_may_read_stops_the_process(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "factor.key"
        create_factor_key(path)
        path.chmod(0o640)

        with pytest.raises(ConfigurationError):
            FactorKey.load(path)

    @pytest.mark.parametrize("content", [b"", b"not base64!", b"c2hvcnQ="])
    def test_what_is_no_key_stops_the_process(
        self, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "factor.key"
        path.write_bytes(content)
        path.chmod(0o600)

        with pytest.raises(ConfigurationError):
            FactorKey.load(path)

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        create_factor_key(tmp_path / "elsewhere.key")
        (tmp_path / "factor.key").symlink_to(tmp_path / "elsewhere.key")

        with pytest.raises(ConfigurationError):
            FactorKey.load(tmp_path / "factor.key")

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "web").write_bytes(b"in the way")

        with pytest.raises(ConfigurationError, match=r"factor\.key"):
            create_factor_key(tmp_path / "web" / "factor.key")

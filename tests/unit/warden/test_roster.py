import base64
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.simulators.warden import CHEAP, PASSPHRASE
from vault.audit.entry import Draft
from vault.core.errors import (
    AuditUnavailableError,
    ConfigurationError,
    SealBrokenError,
)
from vault.sealing.keyring import Keyring
from vault.sealing.roster import (
    Roster,
    RosterSigner,
    recipients_for,
    roster_digest,
    verify_roster,
)
from vault.warden.roster import RosterFiles, Signers, refresh_roster

DAY_NS = 24 * 3600 * 10**9
NOW_NS = 1_795_414_569_000_000_000
"2026-11-23"
TAP = RosterSigner(name="tap", public_key=b"t" * 32)


class Upkeep:
    """A keyring, the files beside it and a trail that may be down."""

    def __init__(self, folder: Path) -> None:
        self.keyring = Keyring.create(
            folder / "keyring.json", PASSPHRASE, months=["2026-11"], cost=CHEAP
        )
        self.files = RosterFiles(
            roster=folder / "roster.json", verifier=folder / "roster.pub"
        )
        self.drafts: list[Draft] = []
        self.down = False

    def append(self, *drafts: Draft) -> None:
        if self.down:
            raise AuditUnavailableError("no log")
        self.drafts += drafts

    def refresh(
        self, *, days: int = 0, taps: Sequence[RosterSigner] = (TAP,)
    ) -> Roster:
        return refresh_roster(
            self.keyring,
            self.files,
            Signers(taps=taps),
            append=self.append,
            now_ns=NOW_NS + days * DAY_NS,
        )

    def actions(self) -> list[str]:
        return [str(draft.action) for draft in self.drafts]


@pytest.fixture
def upkeep(tmp_path: Path) -> Upkeep:
    return Upkeep(tmp_path)


def test_the_first_roster_names_three_months_and_is_on_the_trail(
    upkeep: Upkeep,
) -> None:
    made = upkeep.refresh()
    pinned = base64.b64decode(upkeep.files.verifier.read_bytes())
    octets = upkeep.files.roster.read_bytes()
    read = verify_roster(octets, pinned=pinned, at_least_version=1, now=NOW_NS)

    assert read == made
    assert [each.month for each in read.recipients] == ["2026-11", "2026-12", "2027-01"]
    assert [len(recipients_for(read, each.month)) for each in read.recipients] == [
        1
    ] * 3
    assert (read.version, read.previous, read.taps) == (1, "", (TAP,))
    assert upkeep.actions() == ["key.kek.added"] * 3 + ["key.roster.signed"]
    assert upkeep.drafts[-1].detail == {
        "version": "1",
        "sha256": roster_digest(octets),
        "count": 3,
    }


def test_without_a_reason_nothing_is_written(upkeep: Upkeep) -> None:
    upkeep.refresh()
    before = upkeep.files.roster.read_bytes()
    upkeep.refresh(days=5)

    assert upkeep.files.roster.read_bytes() == before
    assert len(upkeep.drafts) == 4


def test_a_new_month_brings_a_new_key_and_a_link_to_the_version_before(
    upkeep: Upkeep,
) -> None:
    upkeep.refresh()
    before = upkeep.files.roster.read_bytes()
    made = upkeep.refresh(days=10)

    assert [each.month for each in made.recipients] == ["2026-12", "2027-01", "2027-02"]
    assert (made.version, made.previous) == (2, roster_digest(before))
    assert upkeep.actions()[4:] == ["key.kek.added", "key.roster.signed"]
    assert upkeep.drafts[4].detail["month"] == "2027-02"


def test_a_new_tap_and_a_lapsing_roster_are_reasons(upkeep: Upkeep) -> None:
    upkeep.refresh(taps=())
    assert upkeep.refresh().version == 2
    assert upkeep.refresh(days=6).version == 2
    assert upkeep.refresh(days=7).version == 3


def test_without_a_leaf_the_old_roster_stands(upkeep: Upkeep) -> None:
    upkeep.refresh()
    before = upkeep.files.roster.read_bytes()
    upkeep.down = True
    with pytest.raises(AuditUnavailableError):
        upkeep.refresh(days=10)
    assert upkeep.files.roster.read_bytes() == before

    upkeep.down = False
    upkeep.refresh(days=10)
    added = [draft.detail.get("month") for draft in upkeep.drafts[4:]]
    assert added == ["2027-02", None], "the key made before the failure has its leaf"


def test_a_roster_that_was_altered_is_not_built_upon(upkeep: Upkeep) -> None:
    upkeep.refresh()
    octets = bytearray(upkeep.files.roster.read_bytes())
    octets[len(octets) // 2] ^= 1
    upkeep.files.roster.write_bytes(octets)

    with pytest.raises(SealBrokenError):
        upkeep.refresh(days=10)


def test_files_that_cannot_be_used_are_named(upkeep: Upkeep, tmp_path: Path) -> None:
    upkeep.files.roster.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"roster\.json"):
        upkeep.refresh()

    upkeep.files.roster.unlink()
    upkeep.files = RosterFiles(
        roster=tmp_path / "missing" / "r.json", verifier=tmp_path / "roster.pub"
    )
    with pytest.raises(ConfigurationError, match=r"r\.json"):
        upkeep.refresh()
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []

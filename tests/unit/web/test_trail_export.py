import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.verifiers import VERIFIED, program_verdict
from tests.simulators.web_vault import WebVault
from vault.access.permissions import Role
from vault.audit.checkpoint import Checkpoint
from vault.audit.verify import verify_export
from vault.core.ids import new_id

EXPORT = "/api/v1/audit/export"


@pytest.fixture
def name(shared_vault: WebVault) -> str:
    """An officer who has exported nothing yet."""
    fresh = f"officer-{new_id()[:8]}"
    shared_vault.person(fresh, Role.OFFICER)
    return fresh


def size_of(note: str) -> int:
    return Checkpoint.unverified(note).size


def test_an_export_goes_on_from_the_officers_last_one(
    shared_vault: WebVault, signed_in: SignedInAs, name: str
) -> None:
    officer = signed_in(name)
    first, second = (officer.get(EXPORT).content for _ in range(2))
    reports = [
        verify_export(octets.splitlines(keepends=True), shared_vault.log.verifier_key)
        for octets in (first, second)
    ]

    assert reports[0].continues is None
    assert reports[1].continues is not None
    assert reports[0].size == reports[1].continues.size


def test_each_officer_has_a_last_export_of_their_own(
    shared_vault: WebVault, signed_in: SignedInAs, name: str
) -> None:
    signed_in(name).get(EXPORT)
    footer = json.loads(signed_in("olga").get(EXPORT).content.splitlines()[-1])

    assert "consistency" not in footer


def test_an_export_that_cannot_go_on_fails_and_says_what_to_do(
    shared_vault: WebVault, signed_in: SignedInAs, name: str
) -> None:
    officer = signed_in(name)
    officer.get(EXPORT)
    person = shared_vault.people.by_name(name).id
    exports = shared_vault.services().trail_exports
    note = str(exports.last(person))
    size = size_of(note)
    exports.keep(person, note.replace(f"\n{size}\n", f"\n{size + 1000}\n", 1))
    refused, without = officer.get(EXPORT), officer.get(f"{EXPORT}?previous=none")

    assert 502 == refused.status_code
    assert "previous=none" in refused.json()["detail"]
    assert 200 == without.status_code
    assert size_of(str(exports.last(person))) > size


@pytest.mark.parametrize("kind", ["csv", "cef", "leef", "ocsf"])
def test_other_formats_say_what_they_are_an_export_of(
    shared_vault: WebVault, signed_in: SignedInAs, name: str, kind: str
) -> None:
    officer = signed_in(name)
    officer.get(EXPORT)
    answer = officer.get(
        EXPORT, params={"format": kind, "query": "action:audit.trail.exported"}
    )
    last = answer.text.splitlines()[-1]
    leaf = shared_vault.leaves()[-1]

    assert 200 == answer.status_code
    assert "audit.export.statement" in last
    assert "consistency" in last
    assert {"fields": "action", "format": kind} == leaf["detail"]


def test_a_csv_has_a_row_for_every_entry(
    shared_vault: WebVault, signed_in: SignedInAs, name: str
) -> None:
    answer = signed_in(name).get(f"{EXPORT}?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))

    assert len(shared_vault.leaves()) == len(rows) - 1
    assert "attachment" in answer.headers["content-disposition"]


def test_a_bundle_verifies_with_what_is_in_it(
    shared_vault: WebVault, signed_in: SignedInAs, name: str, tmp_path: Path
) -> None:
    answer = signed_in(name).get(f"{EXPORT}?format=bundle")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "callvault-trail"
    sums = dict(
        reversed(line.split("  "))
        for line in (folder / "SHA256SUMS").read_text().splitlines()
    )

    assert VERIFIED == program_verdict(
        folder / "entries.jsonl", shared_vault.log.verifier_key
    )
    assert sums == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums
    }
    assert f"{name} (user:" in (folder / "report.html").read_text()

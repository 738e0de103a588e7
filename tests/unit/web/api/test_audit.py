import base64
import json
from pathlib import Path

import pytest
from tlog_scales.tlog import InclusionProof

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault
from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.verify import verify_export
from vault.core import canonical

ROOT = "/api/v1/audit"


class TestRights:
    @pytest.mark.parametrize("name", ["ada", "adam", "carl"])
    @pytest.mark.parametrize(
        "path", ["entries", "checkpoint", "export?format=jsonl", "tile/0/000"]
    )
    def test_only_officers_read_the_trail(
        self, shared_vault: WebVault, signed_in: SignedInAs, name: str, path: str
    ) -> None:
        answer = signed_in(name).get(f"{ROOT}/{path}")
        leaf = shared_vault.leaves()[-1]

        assert answer.status_code == 403
        assert (leaf["action"], leaf["result"]) == ("access.refused", "refused")


class TestEntries:
    def test_the_newest_come_first_and_reading_is_written_down(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        officer = signed_in("olga")

        page = officer.get(f"{ROOT}/entries", params={"limit": 2}).json()
        leaf = shared_vault.leaves()[-1]

        assert page["items"][0]["index"] == page["items"][1]["index"] + 1
        assert page["next"] == str(page["items"][1]["index"])
        assert (leaf["action"], leaf["detail"]) == ("audit.trail.read", {"rows": 2})

    def test_a_query_selects_and_its_leaf_names_its_fields(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        signed_in("ada")
        text = "actor:ada action:access.session.* -result:refused"
        page = signed_in("olga").get(f"{ROOT}/entries", params={"query": text}).json()
        found = {one["entry"]["actor"] for one in page["items"]}
        leaf = shared_vault.leaves()[-1]

        assert 1 == len(found)
        assert "action/actor/not-result" == leaf["detail"]["fields"]

    def test_an_unknown_name_finds_nothing(self, signed_in: SignedInAs) -> None:
        page = signed_in("olga").get(f"{ROOT}/entries?query=actor:zoe").json()

        assert {"items": [], "next": None} == page

    @pytest.mark.parametrize(
        "query",
        [
            "query=colour:red",
            "query=since:yesterday",
            "cursor=x",
            "limit=0",
            "x=y",
            "actor=ada",
            "query=actor:a&query=actor:b",
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(
        self, signed_in: SignedInAs, query: str
    ) -> None:
        assert signed_in("olga").get(f"{ROOT}/entries?{query}").status_code == 422

    def test_what_is_wrong_with_a_query_is_said(self, signed_in: SignedInAs) -> None:
        answer = signed_in("olga").get(f"{ROOT}/entries?query=action:recording.play")

        assert "did you mean recording.played?" in answer.json()["detail"]


class TestProof:
    def test_the_proof_of_an_entry_leads_to_the_signed_root(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        officer = signed_in("olga")
        answer = officer.get(f"{ROOT}/entries/1/proof")
        head, _, note = answer.text.partition("\n\n")
        name, index, *hashes = head.split("\n")
        signed = Checkpoint.unverified(note)
        leaf = tree.leaf_hash(canonical.dumps(shared_vault.leaves()[1]))
        proof = [base64.b64decode(one) for one in hashes]
        InclusionProof(1, signed.size, proof).check(leaf, signed.root)

        assert ("c2sp.org/tlog-proof@v1", "index 1") == (name, index)
        assert "callvault-audit-1.tlog-proof" in answer.headers["content-disposition"]
        assert {"kind": "proof", "rows": 1} == shared_vault.leaves()[-1]["detail"]
        assert 404 == officer.get(f"{ROOT}/entries/999999/proof").status_code

    def test_an_export_over_http_verifies_offline(
        self, shared_vault: WebVault, signed_in: SignedInAs, tmp_path: Path
    ) -> None:
        answer = signed_in("olga").get(f"{ROOT}/export", params={"format": "jsonl"})
        path = tmp_path / "trail.jsonl"
        path.write_bytes(answer.content)

        verify_export(path, shared_vault.log.verifier_key)

        assert answer.headers["content-disposition"].startswith("attachment")
        assert shared_vault.actions()[-1] == "audit.trail.exported"

    def test_a_selection_is_exported_with_its_query(
        self, signed_in: SignedInAs
    ) -> None:
        answer = signed_in("olga").get(
            f"{ROOT}/export", params={"query": "action:access.session.opened"}
        )
        header, *rows = [json.loads(line) for line in answer.text.splitlines()]

        assert header["query"] == {"action": ["access.session.opened"]}
        assert {row["entry"]["action"] for row in rows if "entry" in row} == {
            "access.session.opened"
        }

    def test_an_unknown_format_is_refused(self, signed_in: SignedInAs) -> None:
        assert 422 == signed_in("olga").get(f"{ROOT}/export?format=xml").status_code

    def test_the_checkpoint_is_the_signed_note(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        note = signed_in("olga").get(f"{ROOT}/checkpoint").text

        assert note.startswith("vault.test/audit\n")
        assert int(note.splitlines()[1]) == len(shared_vault.leaves())

    def test_tiles_are_served_by_their_one_name(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        officer = signed_in("olga")

        tile = officer.get(f"{ROOT}/tile/0/000.p/3")
        bundle = officer.get(f"{ROOT}/tile/entries/000.p/2")

        assert (tile.status_code, len(tile.content)) == (200, 3 * 32)
        assert b"audit.log.created" in bundle.content

    @pytest.mark.parametrize(
        "path", ["tile/0/999", "tile/0/0", "tile/x/000", "tile/..%2f"]
    )
    def test_what_is_no_tile_is_missing(self, signed_in: SignedInAs, path: str) -> None:
        assert signed_in("olga").get(f"{ROOT}/{path}").status_code == 404

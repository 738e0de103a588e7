import base64
import hashlib
import io
import json
from typing import Any

import pytest
import rfc8785

from tests.simulators.trail import ORIGIN, Trail, asking, signer
from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.export import export_jsonl
from vault.core.errors import ConflictError, TrailBrokenError


def parsed(octets: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in octets.splitlines()]


class TestLines:
    def test_every_line_is_canonical_for_an_implementation_we_did_not_write(
        self, trail: Trail
    ) -> None:
        trail.grow(5)
        for line in trail.export().splitlines():
            assert line == rfc8785.dumps(json.loads(line))

    def test_the_entry_of_a_line_gives_the_octets_that_were_hashed(
        self, trail: Trail
    ) -> None:
        trail.grow(5)
        entries = [
            rfc8785.dumps(line["entry"])
            for line in parsed(trail.export())
            if "entry" in line
        ]

        assert trail.reader.entries(0, 6) == entries

    def test_header_and_footer_say_what_stands_between(self, trail: Trail) -> None:
        trail.grow(5)
        header, *_, footer = parsed(trail.export())
        note = trail.reader.checkpoint()
        expected = {
            "callvault": "audit-export",
            "checkpoint": note,
            "origin": ORIGIN,
            "query": {},
            "rows": 6,
            "size": 6,
            "v": 2,
        }

        assert expected == header
        assert {"checkpoint": note, "marks": 5, "rows": 6, "v": 2} == footer

    def test_a_mark_stands_where_a_commit_ended(self, trail: Trail) -> None:
        trail.grow(6, batch=3)
        kinds = ["mark" if "mark" in line else "" for line in parsed(trail.export())]

        assert ["", "", "mark", "", "", "", "mark", "", "", "", ""] == kinds

    def test_a_summary_counts_what_was_written(self, trail: Trail) -> None:
        trail.grow(3)
        out = io.BytesIO()
        told: list[tuple[int, int]] = []
        summary = export_jsonl(
            trail.reader, out, progress=lambda *done: told.append(done)
        )

        assert (4, 4, len(out.getvalue())) == (
            summary.rows,
            summary.size,
            summary.bytes,
        )
        assert hashlib.sha256(out.getvalue()).hexdigest() == summary.sha256
        assert [(4, 4)] == told


class TestSelections:
    def test_selected_rows_carry_proofs_to_the_signed_root(self, trail: Trail) -> None:
        trail.grow(9)
        header, *rows, footer = parsed(trail.export(query=asking(actor="user:u1")))
        signed = signer().verifier.open_checkpoint(header["checkpoint"])
        for row in rows:
            tree.verify_inclusion(
                base64.b64decode(row["leaf"]),
                index=row["index"],
                size=signed.size,
                proof=[base64.b64decode(one) for one in row["proof"]],
                root=signed.root,
            )

        assert [1, 4, 7] == [row["index"] for row in rows]
        assert {"actor": ["user:u1"]} == header["query"]
        assert (3, 0) == (footer["rows"], footer["marks"])


class TestConsistency:
    def test_an_earlier_checkpoint_is_proved(self, trail: Trail) -> None:
        trail.grow(3)
        previous = trail.reader.checkpoint()
        trail.grow(3)
        footer = parsed(trail.export(previous=previous))[-1]
        old = Checkpoint.unverified(previous)
        tree.verify_consistency(
            old_size=4,
            new_size=7,
            old_root=old.root,
            new_root=trail.reader.head().root,
            proof=[base64.b64decode(one) for one in footer["consistency"]["proof"]],
        )

        assert previous == footer["consistency"]["previous"]

    def test_the_checkpoint_of_another_log_is_refused(self, trail: Trail) -> None:
        other = Checkpoint(origin="else", size=1, root=bytes(32))
        with pytest.raises(ConflictError):
            trail.export(previous=signer().sign_checkpoint(other))

    def test_a_log_that_shrank_is_refused(self, trail: Trail) -> None:
        other = Checkpoint(origin=ORIGIN, size=9, root=bytes(32))
        with pytest.raises(TrailBrokenError):
            trail.export(previous=signer().sign_checkpoint(other))

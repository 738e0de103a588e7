"""Programs that none of us wrote read what we write, and we read what they wrote.

Both of ours are asked: `vault.audit` and ``scripts/verify-trail``, which share no code.
Probes and vectors of `vault.audit` alone are in the tests of its modules.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tlog_scales import tiles as their_tiles
from tlog_scales.reader import TilesReader
from tlog_scales.signing import PlainEd25519Signer, Vkey
from tlog_scales.tlog import Checkpoint as TheirCheckpoint
from tlog_scales.tlog import ConsistencyProof, InclusionProof
from tlog_scales.writer import TilesWriter

from tests.simulators.trail import ORIGIN, SEED, Trail, lines_of, signer
from tests.simulators.verifiers import VERIFIED, Script, callvault
from tests.simulators.witnesses import NOW_S, cosigner
from vault.audit import tree
from vault.audit.cosignature import with_lines
from vault.audit.export import export_jsonl
from vault.audit.query import Terms, TrailQuery
from vault.audit.tiles import TileName, parse_bundle, parse_hashes, tiles_of
from vault.audit.verify import verify_export
from vault.auditor.anchors import Anchors
from vault.auditor.memory import Memory
from vault.auditor.publishing import Publishing, PublishingConfig
from vault.core.errors import InvalidInputError, NotFoundError, TrailBrokenError
from vault.objects.keys import ObjectKey
from vault.objects.locking import FolderThatNeverLocks

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
LIBRARY, OWN = Script(), Script(own_ed25519=True)
SCRIPT = LIBRARY.module


def vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())["vectors"]


PROBES = vectors("merkle_probes.json")
# An export may name the checkpoint of an empty log, whose one root is known: nothing
# has to be proved then, and `compare_with` still asks for the tree of the export.
FROM_NOTHING = {
    "consistency/additional/roots-do-not-match-and-sizes-are-zero.json",
    "consistency/additional/size1-is-zero-and-size2-is-not-zero.json",
}
SINCE_SOMETHING = [
    one for one in PROBES["consistency"] if one["file"] not in FROM_NOTHING
]
TREE8 = vectors("rfc6962_tree8.json")
NOTES = vectors("signed_notes.json")
REAL = vectors("cosignatures.json")
TESSERA = vectors("tessera_testdata_log.json")
FILES = {path: base64.b64decode(octets) for path, octets in TESSERA["files"].items()}


def octets(text: str | None) -> bytes:
    return base64.b64decode(text or "")


class TestTheScript:
    @pytest.mark.parametrize(
        "probe", PROBES["inclusion"], ids=lambda probe: probe["file"]
    )
    def test_inclusion_probes_are_taken_and_refused_as_published(
        self, probe: dict[str, Any]
    ) -> None:
        run = SCRIPT.Export(None, None)
        # As for a selected row; this query selects everything.
        run.query = {"since": ""}
        proof = ",".join(f'"{one}"' for one in probe["proof"] or []).encode()

        def verify() -> None:
            text = f"o\n{probe['treeSize']}\n{probe['root']}\n"
            _, run.size, run.root = SCRIPT.parse_checkpoint(text)
            run.in_place(str(probe["leafIdx"]).encode())
            leaf = octets(probe["leafHash"])
            run.take_selected(b"{}", probe["leafIdx"], leaf, proof)

        if probe["wantErr"]:
            with pytest.raises(SCRIPT.Broken):
                verify()
        else:
            verify()

    @pytest.mark.parametrize("probe", SINCE_SOMETHING, ids=lambda probe: probe["file"])
    def test_consistency_probes_are_taken_and_refused_as_published(
        self, probe: dict[str, Any]
    ) -> None:
        run = SCRIPT.Export(None, None)
        run.size, run.root = probe["size2"], octets(probe["root2"])
        run.opened = lambda *_: ("", probe["size1"], octets(probe["root1"]))

        def verify() -> None:
            run.take_consistency({"previous": "", "proof": probe["proof"] or []})

        if probe["wantErr"]:
            with pytest.raises(SCRIPT.Broken):
                verify()
        else:
            verify()

    def test_roots_of_the_eight_leaf_tree_are_the_published_ones(self) -> None:
        growing = SCRIPT.Tree()
        roots = [growing.root().hex()]
        for leaf in TREE8["leaves"]:
            growing.add(SCRIPT.leaf_hash(bytes.fromhex(leaf)))
            roots.append(growing.root().hex())

        assert TREE8["roots"] == roots

    @pytest.mark.parametrize("note", NOTES[:2])
    @pytest.mark.parametrize("script", [LIBRARY, OWN])
    def test_published_notes_are_signed_by_their_keys(
        self, note: dict[str, str], script: Script
    ) -> None:
        key = SCRIPT.Key(note["vkey"], script.check)
        text, (signature,) = key.ours(note["note"])

        assert script.check(key.public, signature, text.encode())
        assert not script.check(key.public, signature, text.encode() + b"x")

    def test_every_checkpoint_and_tree_of_tesseras_log_is_right(self) -> None:
        key = SCRIPT.Key(TESSERA["vkey"], LIBRARY.check)
        entries = parse_bundle(FILES["tile/entries/000.p/15"])
        growing = SCRIPT.Tree()
        for size in range(16):
            _, stated, root = key.open(FILES[f"checkpoint.{size}"].decode())

            assert (size, growing.root()) == (stated, root)
            if size < len(entries):
                growing.add(SCRIPT.leaf_hash(entries[size]))

    @pytest.mark.parametrize("text", REAL["witnesses"])
    @pytest.mark.parametrize("script", [LIBRARY, OWN])
    def test_what_public_witnesses_cosigned_is_understood(
        self, text: str, script: Script
    ) -> None:
        key = SCRIPT.WitnessKey(text, script.check)
        key.take(REAL["note"])

        assert (1432088532, REAL["time"]) == key.seen
        with pytest.raises(SCRIPT.Broken):
            key.take(REAL["note"].replace("1432088532", "1432088533"))

    @pytest.mark.parametrize("text", [*REAL["bad_keys"], REAL["log"]])
    def test_what_is_no_witness_key_is_none(self, text: str) -> None:
        with pytest.raises(SCRIPT.Usage):
            SCRIPT.WitnessKey(text, LIBRARY.check)


class _Published:
    """A store of anchors as tlog-scales reads a log."""

    def __init__(self, store: FolderThatNeverLocks) -> None:
        self._store = store

    def get(self, *path: str) -> bytes | None:
        key = ObjectKey("/".join((Anchors(ORIGIN).prefix, *path)))
        try:
            return self._store.read(key)
        except NotFoundError:
            return None


class TestTilesThatWePublish:
    def test_a_program_we_did_not_write_reads_the_whole_log(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        trail.grow(699, batch=100)
        store = FolderThatNeverLocks(tmp_path / "store")
        Publishing(
            trail.reader,
            store,
            verifier=signer(SEED).verifier,
            memory=Memory(tmp_path / "publishing.json"),
            config=PublishingConfig(),
        ).run()
        theirs = TilesReader(_Published(store))
        checkpoint = theirs.get_checkpoint()
        checkpoint.verify(Vkey.from_string(trail.vkey))
        entries = [theirs.get_entry(index) for index in range(checkpoint.size)]

        assert trail.log.size == checkpoint.size
        assert checkpoint.root_hash == theirs.calculate_root_hash()
        assert trail.reader.entries(0, checkpoint.size) == entries
        for index in (0, 255, 256, 511, 512, checkpoint.size - 1):
            proof = theirs.get_inclusion_proof(index, checkpoint.size)
            leaf = their_tiles.leaf_hash(entries[index])
            proof.check(leaf, checkpoint.root_hash)
        for old in (1, 255, 256, 257, 600):
            ours = trail.reader.consistency_proof(old, checkpoint.size)

            assert theirs.get_consistency_proof(old, checkpoint.size).node_hashes == (
                ours
            )

    @pytest.mark.parametrize("size", [1, 256, 600])
    def test_we_read_the_whole_log_that_it_wrote(
        self, tmp_path: Path, size: int
    ) -> None:
        log = TilesWriter.create(tmp_path / "theirs", "their/log")
        for number in range(size):
            log.add_leaf(b"entry %d" % number)
        log.commit([PlainEd25519Signer("their/log", SEED)])
        note = (tmp_path / "theirs" / "checkpoint").read_text()
        key = signer(SEED, "their/log").verifier
        checkpoint = key.open_checkpoint(note)
        read = {
            str(name): (tmp_path / "theirs" / str(name)).read_bytes()
            for name in tiles_of(size)
        }
        entries = [
            entry
            for name in tiles_of(size)
            if name.level is None
            for entry in parse_bundle(read[str(name)])
        ]
        leaves = [
            leaf
            for name in tiles_of(size)
            if name.level == 0
            for leaf in parse_hashes(read[str(name)])
        ]

        assert [b"entry %d" % number for number in range(size)] == entries
        assert [tree.leaf_hash(entry) for entry in entries] == leaves
        assert tree.root(leaves) == checkpoint.root
        if size > 256:
            (first, second) = parse_hashes(read[str(TileName.parse("tile/1/000.p/2"))])
            assert (first, second) == (
                tree.root(leaves[:256]),
                tree.root(leaves[256:512]),
            )


class TestExportsThatWeWrite:
    def test_a_program_we_did_not_write_follows_a_whole_export(
        self, trail: Trail
    ) -> None:
        trail.grow(20, batch=3)
        earlier = trail.reader.checkpoint()
        trail.grow(30, batch=7)
        header, *rows, footer = map(
            json.loads, lines_of(trail.export(previous=earlier))
        )
        theirs = TheirCheckpoint.from_text(header["checkpoint"])
        theirs.verify(Vkey.from_string(trail.vkey))
        leaves: list[bytes] = []
        for row in rows:
            if "mark" in row:
                mark = TheirCheckpoint.from_text(row["mark"])
                mark.verify(Vkey.from_string(trail.vkey))

                assert mark.root_hash == tree.root(leaves)
                continue
            leaves.append(base64.b64decode(row["leaf"]))
        before = TheirCheckpoint.from_text(footer["consistency"]["previous"])
        proof = [base64.b64decode(one) for one in footer["consistency"]["proof"]]
        ConsistencyProof(before.size, theirs.size, proof).check(
            before.root_hash, theirs.root_hash
        )

        assert theirs.size == len(leaves)
        assert trail.reader.entries(0, theirs.size) == [
            line[len(b'{"entry":') : line.rindex(b',"index":')]
            for line in lines_of(trail.export(previous=earlier))
            if line.startswith(b'{"entry":')
        ]

    def test_it_accepts_the_proof_of_every_selected_row(self, trail: Trail) -> None:
        trail.grow(60, batch=9)
        query = TrailQuery(wanted=Terms(actor=("user:u1",)))
        header, *rows, _ = map(json.loads, lines_of(trail.export(query=query)))
        theirs = TheirCheckpoint.from_text(header["checkpoint"])
        for row in rows:
            proof = [base64.b64decode(one) for one in row["proof"]]
            leaf = base64.b64decode(row["leaf"])
            InclusionProof(row["index"], theirs.size, proof).check(
                leaf, theirs.root_hash
            )

        assert 20 == len(rows)


class TestWitnessedExports:
    @pytest.fixture
    def cosigned(self, trail: Trail) -> str:
        trail.grow(10)
        note = trail.reader.checkpoint()
        text = note.partition("\n\n")[0] + "\n"
        lines = [cosigner(n).cosign(text, time_s=NOW_S + n) for n in (1, 2)]
        trail.grow(10)
        return with_lines(note, lines)

    @staticmethod
    def exported(
        trail: Trail, cosigned: str, tmp_path: Path, query: TrailQuery
    ) -> bytes:
        with (tmp_path / "export").open("w+b") as file:
            export_jsonl(trail.reader, file, query=query, cosigned=cosigned)
            file.seek(0)
            return file.read()

    @pytest.mark.parametrize(
        "query", [TrailQuery(), TrailQuery(wanted=Terms(actor=("user:u1",)))]
    )
    def test_both_verifiers_find_who_cosigned_and_miss_who_did_not(
        self, trail: Trail, cosigned: str, tmp_path: Path, query: TrailQuery
    ) -> None:
        octets_ = self.exported(trail, cosigned, tmp_path, query)
        keys = [str(cosigner(n).cosigner) for n in (1, 2)]
        report = verify_export(lines_of(octets_), trail.vkey, witnesses=keys)
        script = [SCRIPT.WitnessKey(one, LIBRARY.check) for one in keys]
        run = SCRIPT.Export(SCRIPT.Key(trail.vkey, LIBRARY.check), None, script)
        (tmp_path / "again").write_bytes(octets_)
        with (tmp_path / "again").open("rb") as file:
            run.read(file)
        seen = [(11, NOW_S + n) for n in (1, 2)]

        assert seen == [one.seen for one in script]
        assert seen == [
            (report.witnessed[key].checkpoint.size, report.witnessed[key].time_s)
            for key in keys
        ]
        assert (VERIFIED, VERIFIED) == (
            callvault(octets_, trail.vkey),
            LIBRARY(octets_, trail.vkey),
        )

        missing = str(cosigner(3).cosigner)
        with pytest.raises(TrailBrokenError, match="nothing here is cosigned by"):
            verify_export(lines_of(octets_), trail.vkey, witnesses=[missing])
        run = SCRIPT.Export(
            SCRIPT.Key(trail.vkey, LIBRARY.check),
            None,
            [SCRIPT.WitnessKey(missing, LIBRARY.check)],
        )
        with (
            (tmp_path / "again").open("rb") as file,
            pytest.raises(SCRIPT.Broken, match="nothing here is cosigned by"),
        ):
            run.read(file)

    def test_a_wrong_cosignature_is_refused_by_both(
        self, trail: Trail, cosigned: str, tmp_path: Path
    ) -> None:
        # The time is changed, which the witness has signed.
        head, _, lines = cosigned.rpartition("\n\n")
        first, *others = lines.splitlines(keepends=True)
        wrong = [line.replace(" ", " ", 1) for line in others]
        blob = bytearray(base64.b64decode(wrong[0].split(" ")[2]))
        blob[11] ^= 1
        name = wrong[0].split(" ")[1]
        wrong[0] = f"\u2014 {name} {base64.b64encode(blob).decode()}\n"
        note = f"{head}\n\n{first}{''.join(wrong)}"
        octets_ = self.exported(trail, note, tmp_path, TrailQuery())
        key = str(cosigner(1).cosigner)
        with pytest.raises(TrailBrokenError, match="cosignature"):
            verify_export(lines_of(octets_), trail.vkey, witnesses=[key])
        run = SCRIPT.Export(
            SCRIPT.Key(trail.vkey, LIBRARY.check),
            None,
            [SCRIPT.WitnessKey(key, LIBRARY.check)],
        )
        with (
            (tmp_path / "export").open("rb") as file,
            pytest.raises(SCRIPT.Broken, match="cosignature"),
        ):
            run.read(file)

    def test_the_key_of_a_log_is_no_witness(self, trail: Trail) -> None:
        trail.grow(1)
        with pytest.raises(InvalidInputError):
            verify_export(lines_of(trail.export()), trail.vkey, witnesses=[trail.vkey])

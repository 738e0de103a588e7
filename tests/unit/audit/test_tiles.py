import base64
import json
from pathlib import Path

import pytest

from tests.simulators.trail import Trail
from vault.audit import tree
from vault.audit.tiles import (
    TileName,
    encode_bundle,
    encode_hashes,
    parse_bundle,
    parse_hashes,
    tiles_of,
)
from vault.core.errors import InvalidInputError, NotFoundError, TrailBrokenError

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
TESSERA = {
    path: base64.b64decode(octets)
    for path, octets in json.loads((VECTORS / "tessera_testdata_log.json").read_text())[
        "vectors"
    ]["files"].items()
}
BUNDLES = {path for path in TESSERA if path.startswith("tile/entries/")}
TILES = {path for path in TESSERA if path.startswith("tile/")} - BUNDLES


class TestTesserasLog:
    def test_its_tiles_and_bundles_are_all_here(self) -> None:
        assert (15, 15) == (len(TILES), len(BUNDLES))

    @pytest.mark.parametrize("path", sorted(TILES | BUNDLES))
    def test_every_path_reads_back_as_itself(self, path: str) -> None:
        assert path == str(TileName.parse(path))

    @pytest.mark.parametrize("path", sorted(BUNDLES))
    def test_every_bundle_is_encoded_octet_by_octet(self, path: str) -> None:
        entries = parse_bundle(TESSERA[path])

        assert TileName.parse(path).width == len(entries)
        assert TESSERA[path] == encode_bundle(entries)

    @pytest.mark.parametrize("path", sorted(TILES))
    def test_every_tile_holds_the_hashes_of_its_bundle(self, path: str) -> None:
        bundle = TESSERA[path.replace("tile/0/", "tile/entries/")]
        hashes = [tree.leaf_hash(entry) for entry in parse_bundle(bundle)]

        assert hashes == parse_hashes(TESSERA[path])
        assert TESSERA[path] == encode_hashes(hashes)

    def test_its_checkpoints_are_the_roots_of_its_tiles(self) -> None:
        hashes = parse_hashes(TESSERA["tile/0/000.p/15"])
        for size in range(16):
            root = TESSERA[f"checkpoint.{size}"].split(b"\n")[2]

            assert root == base64.b64encode(tree.root(hashes[:size]))


class TestTileNames:
    def test_the_index_is_written_in_groups_of_three(self) -> None:
        assert "tile/0/x001/x234/067" == str(TileName(level=0, index=1234067))
        assert "tile/entries/000.p/1" == str(TileName(level=None, index=0, width=1))

    def test_the_log_of_70000_entries_has_the_tiles_of_the_specification(self) -> None:
        names = [str(name) for name in tiles_of(70_000) if name.level is not None]

        assert 273 + 1 + 1 + 1 + 1 == len(names)
        assert "tile/0/x001/x000" not in names
        assert [
            "tile/0/273.p/112",
            "tile/1/000",
            "tile/1/001.p/17",
            "tile/2/000.p/1",
        ] == [
            name
            for name in names
            if name.endswith("/273.p/112") or "tile/0" not in name
        ]

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/0/x000/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001/",
            "tile/0/../000",
            "tile/x/000",
            "tile/0/x001",
            "tile/-1/000",
            "tile/0/\u0661\u0661\u0661",
            "tile/0/001\n",
        ],
    )
    def test_another_spelling_names_nothing(self, path: str) -> None:
        with pytest.raises(InvalidInputError):
            TileName.parse(path)


class TestBundles:
    def test_a_bundle_that_lost_an_octet_is_refused(self) -> None:
        whole = encode_bundle([b"one", b"two"])
        for size in (len(whole) - 1, 6, 1, 0):
            with pytest.raises(TrailBrokenError):
                parse_bundle(whole[:size])

    def test_an_entry_of_64_kib_does_not_fit(self) -> None:
        with pytest.raises(ValueError):
            encode_bundle([bytes(65_536)])

    def test_a_tile_of_257_hashes_is_refused(self) -> None:
        for octets in (b"", bytes(33), bytes(257 * 32)):
            with pytest.raises(TrailBrokenError):
                parse_hashes(octets)


class TestServing:
    def test_the_tiles_of_a_log_prove_its_checkpoint(self, trail: Trail) -> None:
        trail.grow(599, batch=200)
        names = tiles_of(600)
        served = {str(name): trail.reader.tile(name) for name in names}
        leaves = [
            digest
            for name in names
            if name.level == 0
            for digest in parse_hashes(served[str(name)])
        ]
        entries = [
            entry
            for name in names
            if name.level is None
            for entry in parse_bundle(served[str(name)])
        ]

        assert trail.reader.head().root == tree.root(leaves)
        assert leaves == [tree.leaf_hash(entry) for entry in entries]
        assert [tree.root(leaves[:256]), tree.root(leaves[256:512])] == parse_hashes(
            served["tile/1/000.p/2"]
        )

    @pytest.mark.parametrize(
        "path",
        ["tile/0/000.p/2", "tile/entries/000.p/2", "tile/1/000.p/1", "tile/9/000"],
    )
    def test_a_tile_that_the_log_has_not_grown_to_is_not_found(
        self, trail: Trail, path: str
    ) -> None:
        with pytest.raises(NotFoundError):
            trail.reader.tile(TileName.parse(path))

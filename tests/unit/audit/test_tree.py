import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from vault.audit import tree
from vault.core.errors import TrailBrokenError

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"


def vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())["vectors"]


def octets(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def grown(size: int) -> dict[tree.NodeId, bytes]:
    edge = tree.Edge()
    nodes: dict[tree.NodeId, bytes] = {}
    for number in range(size):
        nodes.update(edge.append(tree.leaf_hash(number.to_bytes(4))))
    return nodes


TREE8 = vectors("rfc6962_tree8.json")
PROBES = vectors("merkle_probes.json")
LEAVES = [tree.leaf_hash(number.to_bytes(4)) for number in range(130)]


class TestRfc6962Tree:
    def test_every_root_of_the_eight_leaf_tree_is_the_published_one(self) -> None:
        leaves = [tree.leaf_hash(bytes.fromhex(leaf)) for leaf in TREE8["leaves"]]
        roots = [tree.root(leaves[:size]).hex() for size in range(9)]

        assert TREE8["roots"] == roots

    def test_every_node_of_the_eight_leaf_tree_is_the_published_one(self) -> None:
        edge = tree.Edge()
        nodes: dict[tree.NodeId, bytes] = {}
        for leaf in TREE8["leaves"]:
            nodes.update(edge.append(tree.leaf_hash(bytes.fromhex(leaf))))

        expected = {
            (level, position): digest
            for level in range(4)
            for position, digest in enumerate(TREE8[f"node_level{level}"])
        }

        assert expected == {key: digest.hex() for key, digest in nodes.items()}

    def test_leaf_and_node_hashes_are_told_apart(self) -> None:
        leaf = tree.leaf_hash(b"L123456").hex()
        node = tree.node_hash(b"N123", b"N456").hex()

        assert (TREE8["leaf_L123456"], TREE8["node_N123_N456"]) == (leaf, node)


class TestProbes:
    @pytest.mark.parametrize(
        "probe", PROBES["inclusion"], ids=lambda probe: probe["file"]
    )
    def test_inclusion_probes_are_taken_and_refused_as_published(
        self, probe: dict[str, Any]
    ) -> None:
        def verify() -> None:
            tree.verify_inclusion(
                octets(probe["leafHash"]),
                index=probe["leafIdx"],
                size=probe["treeSize"],
                proof=[octets(one) for one in probe["proof"] or []],
                root=octets(probe["root"]),
            )

        if probe["wantErr"]:
            with pytest.raises(TrailBrokenError):
                verify()
        else:
            verify()

    @pytest.mark.parametrize(
        "probe", PROBES["consistency"], ids=lambda probe: probe["file"]
    )
    def test_consistency_probes_are_taken_and_refused_as_published(
        self, probe: dict[str, Any]
    ) -> None:
        def verify() -> None:
            tree.verify_consistency(
                old_size=probe["size1"],
                new_size=probe["size2"],
                old_root=octets(probe["root1"]),
                new_root=octets(probe["root2"]),
                proof=[octets(one) for one in probe["proof"] or []],
            )

        if probe["wantErr"]:
            with pytest.raises(TrailBrokenError):
                verify()
        else:
            verify()

    def test_all_196_probes_are_here_and_184_of_them_must_be_refused(self) -> None:
        every = [*PROBES["inclusion"], *PROBES["consistency"]]

        assert (196, 184) == (len(every), sum(probe["wantErr"] for probe in every))


class TestProofs:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 65, 129])
    def test_our_inclusion_proofs_satisfy_an_implementation_we_did_not_write(
        self, size: int
    ) -> None:
        nodes = grown(size)
        root = tree.root(LEAVES[:size])
        for index in range(size):
            proof = tree.inclusion_proof(index, size, lambda _: nodes)
            InclusionProof(index, size, proof).check(LEAVES[index], root)
            tree.verify_inclusion(
                LEAVES[index], index=index, size=size, proof=proof, root=root
            )

    @pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 9, 64, 65, 129])
    def test_our_consistency_proofs_satisfy_an_implementation_we_did_not_write(
        self, new: int
    ) -> None:
        nodes = grown(new)
        new_root = tree.root(LEAVES[:new])
        for old in range(1, new + 1):
            old_root = tree.root(LEAVES[:old])
            proof = tree.consistency_proof(old, new, lambda _: nodes)
            ConsistencyProof(old, new, proof).check(old_root, new_root)
            tree.verify_consistency(
                old_size=old,
                new_size=new,
                old_root=old_root,
                new_root=new_root,
                proof=proof,
            )

    def test_a_proof_asks_for_all_its_nodes_at_once(self) -> None:
        nodes = grown(100)
        calls = []

        def read(wanted: Any) -> dict[tree.NodeId, bytes]:
            calls.append(wanted)
            return {node: nodes[node] for node in wanted}

        tree.consistency_proof(37, 100, read)

        assert 1 == len(calls)

    def test_a_leaf_outside_the_tree_is_misuse(self) -> None:
        with pytest.raises(ValueError):
            tree.inclusion_proof(3, 3, lambda _: {})

    def test_nothing_goes_on_from_the_empty_tree(self) -> None:
        with pytest.raises(ValueError):
            tree.consistency_proof(0, 3, lambda _: {})

    def test_a_root_of_the_wrong_length_is_refused(self) -> None:
        with pytest.raises(TrailBrokenError):
            tree.verify_inclusion(LEAVES[0], index=0, size=1, proof=[], root=b"")


class TestEdge:
    @pytest.mark.parametrize("size", [0, 1, 5, 64, 100])
    def test_an_edge_taken_from_nodes_goes_on_like_the_one_that_grew(
        self, size: int
    ) -> None:
        nodes = grown(size)
        edge = tree.Edge(size, [nodes[node] for node in tree.subtrees(0, size)])
        for leaf in LEAVES[size:130]:
            edge.append(leaf)

        assert tree.root(LEAVES) == edge.root()

    def test_a_copy_leaves_the_original_as_it_was(self) -> None:
        edge = tree.Edge()
        edge.append(LEAVES[0])
        before = edge.root()
        edge.copy().append(LEAVES[1])

        assert (before, 1) == (edge.root(), edge.size)

    def test_too_few_hashes_are_no_edge(self) -> None:
        with pytest.raises(ValueError):
            tree.Edge(3, LEAVES[:1])

    def test_the_root_of_nothing_is_the_hash_of_nothing(self) -> None:
        assert tree.EMPTY_ROOT == tree.Edge().root()

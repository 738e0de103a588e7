from collections.abc import Collection, Mapping

from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.tiles import TileName, encode_bundle, parse_bundle
from vault.core.errors import InvalidInputError, TrailBrokenError

MOST = 300
LEAVES = [tree.leaf_hash(number.to_bytes(4)) for number in range(MOST)]
NODES: dict[tree.NodeId, bytes] = {}
_edge = tree.Edge()
ROOTS = [_edge.root()]
for _leaf in LEAVES:
    NODES.update(_edge.append(_leaf))
    ROOTS.append(_edge.root())


def read(wanted: Collection[tree.NodeId]) -> Mapping[tree.NodeId, bytes]:
    return {node: NODES[node] for node in wanted}


@given(
    st.integers(1, MOST).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))
)
def test_every_leaf_of_every_tree_has_a_proof_that_strangers_accept(
    place: tuple[int, int],
) -> None:
    index, size = place
    proof = tree.inclusion_proof(index, size, read)
    InclusionProof(index, size, proof).check(LEAVES[index], ROOTS[size])

    assert ROOTS[size] == tree.root_from_inclusion(
        LEAVES[index], index=index, size=size, proof=proof
    )


@given(st.integers(1, MOST), st.integers(1, MOST))
def test_every_tree_has_a_proof_that_it_goes_on_from_every_smaller_one(
    one: int, two: int
) -> None:
    old, new = sorted((one, two))
    proof = tree.consistency_proof(old, new, read)
    ConsistencyProof(old, new, proof).check(ROOTS[old], ROOTS[new])
    tree.verify_consistency(
        old_size=old,
        new_size=new,
        old_root=ROOTS[old],
        new_root=ROOTS[new],
        proof=proof,
    )


@given(
    st.integers(1, 80),
    st.integers(0, 80),
    st.lists(st.sampled_from(LEAVES[:9]), max_size=8),
)
def test_hashes_picked_at_random_prove_nothing(
    size: int, index: int, proof: list[bytes]
) -> None:
    if size == 1 and index == 0 and not proof:
        return
    try:
        root = tree.root_from_inclusion(
            LEAVES[100], index=index, size=size, proof=proof
        )
    except TrailBrokenError:
        return

    assert root != ROOTS[size]


@given(
    st.integers(0, 100),
    st.integers(0, 100),
    st.lists(st.sampled_from(LEAVES[:9]), max_size=8),
)
def test_consistency_of_hashes_picked_at_random_is_refused(
    old: int, new: int, proof: list[bytes]
) -> None:
    try:
        tree.verify_consistency(
            old_size=old,
            new_size=new,
            old_root=ROOTS[old],
            new_root=ROOTS[new],
            proof=proof,
        )
    except TrailBrokenError:
        return

    assert tree.consistency_proof(old, new, read) == proof


@given(st.integers(0, 10**12), st.integers(1, 256), st.none() | st.integers(0, 63))
def test_a_tile_name_reads_back_as_itself(
    index: int, width: int, level: int | None
) -> None:
    name = TileName(level=level, index=index, width=width)

    assert name == TileName.parse(str(name))


@given(st.text(alphabet="tile/0123456789x.pentr", max_size=30))
def test_a_tile_path_has_one_spelling(path: str) -> None:
    try:
        name = TileName.parse(path)
    except InvalidInputError:
        return

    assert path == str(name)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_reads_back_as_itself(entries: list[bytes]) -> None:
    assert entries == parse_bundle(encode_bundle(entries))


@given(st.binary(max_size=200))
def test_octets_are_a_bundle_in_one_way_or_not_at_all(octets: bytes) -> None:
    try:
        entries = parse_bundle(octets)
    except TrailBrokenError:
        return

    assert octets == encode_bundle(entries)


@given(st.text(max_size=120))
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    try:
        checkpoint = Checkpoint.parse(text)
    except TrailBrokenError:
        return

    assert text.startswith(str(checkpoint))

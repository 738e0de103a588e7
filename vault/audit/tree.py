"""The Merkle tree of the log: hashes, proofs and their verification.

    leaf = SHA-256(0x00 ‖ entry)    node = SHA-256(0x01 ‖ left ‖ right)

The tree of *size* leaves is cut into perfect subtrees, the largest first; node
``(level, position)`` is the root of the perfect subtree over the leaves from
``position << level`` up to ``(position + 1) << level``.  Nodes, once written, never
change, which is what makes tiles cacheable and consistency provable.

Guarantees:
    * Verification is the algorithm of RFC 9162, step by step; a proof with one
      hash too many, too few or of a wrong length is refused.
    * No input makes a verifier return normally unless the proof holds.

Left to others: where nodes rest (`vault.audit.log`, `vault.audit.reading`) and
whether a root is the signed one (`vault.audit.checkpoint`).

Spec: RFC 6962 section 2.1, RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from vault.core.errors import TrailBrokenError

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

NodeId: TypeAlias = tuple[int, int]
"Level (0 is the leaves) and position within the level, from the left."

ReadNodes: TypeAlias = Callable[[Collection[NodeId]], Mapping[NodeId, bytes]]
"Returns the hash of every node asked for."


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one log entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree over *leaf_hashes*."""
    edge = Edge()
    for leaf in leaf_hashes:
        edge.append(leaf)
    return edge.root()


class Edge:
    """The right edge of a growing tree: one hash per perfect subtree, at most 64.

    It is all that appending needs, so a log of any size grows in constant memory.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Take the edge of a tree of *size* leaves, hashes from left to right."""
        if len(hashes) != size.bit_count():
            raise ValueError(f"{len(hashes)} hashes are no edge of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    def copy(self) -> "Edge":
        """Return an edge that grows on its own."""
        return Edge(self.size, self._hashes)

    def append(self, leaf: bytes) -> list[tuple[NodeId, bytes]]:
        """Add one leaf hash and return every node that is complete by it."""
        level, position = 0, self.size
        fresh = [((0, position), leaf)]
        carried = leaf
        while position & 1:
            carried = node_hash(self._hashes.pop(), carried)
            level, position = level + 1, position >> 1
            fresh.append(((level, position), carried))
        self._hashes.append(carried)
        self.size += 1
        return fresh

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        return _fold(self._hashes)


def subtrees(start: int, stop: int) -> list[NodeId]:
    """Return the perfect subtrees that cover leaves *start* to *stop*, left first.

    *start* must be a multiple of the largest power of two in ``stop - start``, as
    it is for every span that RFC 6962 speaks of.
    """
    found: list[NodeId] = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def inclusion_proof(index: int, size: int, read: ReadNodes) -> list[bytes]:
    """Return the proof that leaf *index* is in the tree of *size* leaves.

    Raises:
        ValueError: The tree has no such leaf.

    Spec: RFC 6962, section 2.1.1.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    spans: list[tuple[int, int]] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    return _hashes(reversed(spans), read)


def consistency_proof(old_size: int, new_size: int, read: ReadNodes) -> list[bytes]:
    """Return the proof that the tree of *old_size* leaves begins the new one.

    Raises:
        ValueError: Not ``0 < old_size <= new_size``.

    Spec: RFC 6962, section 2.1.2.
    """
    if not 0 < old_size <= new_size:
        raise ValueError(f"no proof from {old_size} to {new_size}")
    spans: list[tuple[int, int]] = []
    start, stop, known = 0, new_size, True
    while old_size != stop:
        middle = start + _split(stop - start)
        if old_size <= middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start, known = middle, False
    if not known:
        spans.append((start, stop))
    return _hashes(reversed(spans), read)


def root_from_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes]
) -> bytes:
    """Return the root that *proof* leads to from *leaf*.

    Raises:
        TrailBrokenError: No proof of this shape belongs to *index* and *size*.

    Spec: RFC 9162, section 2.1.3.2, steps 1 to 5.
    """
    if not 0 <= index < size:
        raise TrailBrokenError(f"no leaf {index} in a tree of {size}")
    _require_hashes([leaf, *proof])
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            raise TrailBrokenError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise TrailBrokenError("the inclusion proof is too short")
    return r


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that *leaf* is leaf *index* of the tree with *root*.

    Raises:
        TrailBrokenError: It is not, or the proof does not say so.

    Spec: RFC 9162, section 2.1.3.2.
    """
    _require_hashes([root])
    led_to = root_from_inclusion(leaf, index=index, size=size, proof=proof)
    if not hmac.compare_digest(led_to, root):
        raise TrailBrokenError(f"entry {index} is not in the tree of {size}")


def verify_consistency(
    *,
    old_size: int,
    new_size: int,
    old_root: bytes,
    new_root: bytes,
    proof: Sequence[bytes],
) -> None:
    """Check that the tree with *old_root* is how the one with *new_root* began.

    Nothing begins with the empty tree here: a caller that holds a checkpoint of
    size 0 has nothing to check, and must decide that itself.

    Raises:
        TrailBrokenError: It is not, or the proof does not say so.

    Spec: RFC 9162, section 2.1.4.2.
    """
    if not 0 < old_size <= new_size:
        raise TrailBrokenError(f"a tree of {new_size} cannot go on from {old_size}")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise TrailBrokenError(f"two different trees of {new_size} entries")
        return
    _require_hashes([old_root, new_root, *proof])
    if not proof:  # step 1
        raise TrailBrokenError("the consistency proof is empty")
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # step 2
        path.insert(0, old_root)
    fr, sr, sn = _walk(path, old_size - 1, new_size - 1)
    if sn != 0 or fr != old_root or sr != new_root:  # step 7
        raise TrailBrokenError(
            f"the log of {new_size} entries does not begin with that of {old_size}"
        )


def _walk(path: Sequence[bytes], fn: int, sn: int) -> tuple[bytes, bytes, int]:
    """Take steps 3 to 6 of RFC 9162, section 2.1.4.2."""
    while fn & 1:  # step 4
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]  # step 5
    for c in path[1:]:  # step 6
        if sn == 0:
            raise TrailBrokenError("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr, sr, sn


def _require_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(digest) != HASH_SIZE for digest in hashes):
        raise TrailBrokenError("a hash that is not 32 octets long")


def _split(width: int) -> int:
    """Return the largest power of two smaller than *width*."""
    return 1 << ((width - 1).bit_length() - 1)


def _hashes(spans: Iterable[tuple[int, int]], read: ReadNodes) -> list[bytes]:
    # One call for all nodes: a proof costs one query, whatever its length.
    cut = [subtrees(start, stop) for start, stop in spans]
    nodes = read([node for span in cut for node in span])
    return [_fold([nodes[node] for node in span]) for span in cut]


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees, largest first."""
    if not hashes:
        return EMPTY_ROOT
    *rest, folded = hashes
    for left in reversed(rest):
        folded = node_hash(left, folded)
    return folded

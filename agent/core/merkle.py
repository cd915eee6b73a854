"""Merkle trees over journal lines: compact range, root, inclusion, consistency and range proofs (RFC 6962, section 2.1).

Rules:
- A leaf is a line without its newline: SHA-256(0x00 ‖ line). An inner node is SHA-256(0x01 ‖ left ‖ right).
- A tree of n > 1 leaves splits at the largest power of two smaller than n; the empty tree's root is SHA-256 of nothing.
- Proofs are made from a *subtree source*: a function (first, end) → hash of the leaves [first, end), asked only for
  subtrees that stand in the tree. So the caller decides what is kept and what is computed again.
- Checking consumes every hash: one too many is as wrong as one too few.

The range proof (several ranges of lines in one tree) is Zhilu's own; docs/evidence-format.md describes it.
"""

from hashlib import sha256

from .errors import ProofError

MYPY = False
if MYPY:  # read by type checkers alone: small boards have no typing module
    from typing import Callable, Iterable, Iterator, Sequence

HASH_BYTES = 32
MAX_DEPTH = 63


EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(line: bytes) -> bytes:
    """Hash of one line as a leaf: 32 bytes."""
    return sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """Leaves in the left subtree of a tree of `size` > 1 leaves: the largest power of two smaller than `size`."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


class Range:
    """The compact range of a tree: its maximal complete subtrees, left to right; all that appending needs.

    `size` counts leaves, `hashes` holds one hash for each bit that is set in it, the largest subtree first.
    """

    def __init__(self, size: int = 0, hashes: "Sequence[bytes]" = ()) -> None:
        ones = bin(size).count("1") if size >= 0 else -1
        if ones != len(hashes):
            raise ProofError("compact range of size %d needs %d hashes, got %d" % (size, ones, len(hashes)))
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash, in O(log size) time and state."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            size >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Root of the tree so far."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for i in range(len(self.hashes) - 2, -1, -1):
            root = node_hash(self.hashes[i], root)
        return root

    def copy(self) -> "Range":
        """An independent range with the same content."""
        return Range(self.size, self.hashes)


def root_of(leaves: "Iterable[bytes]") -> bytes:
    """Root over a sequence of leaf hashes."""
    tree = Range()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def from_leaves(leaves: "Sequence[bytes]") -> "Callable[[int, int], bytes]":
    """A subtree source over leaf hashes held in memory."""

    def subtree(first: int, end: int) -> bytes:
        return root_of(leaves[first:end])

    return subtree


def inclusion(subtree: "Callable[[int, int], bytes]", index: int, size: int) -> "list[bytes]":
    """Proof that leaf `index` stands in the tree of `size` leaves: sibling hashes from the leaf upward."""
    if not 0 <= index < size:
        raise ProofError("inclusion: index %d is outside a tree of %d leaves" % (index, size))
    first, end = 0, size
    hashes = []
    while end - first > 1:
        middle = first + split(end - first)
        if index < middle:
            hashes.append(subtree(middle, end))
            end = middle
        else:
            hashes.append(subtree(first, middle))
            first = middle
    hashes.reverse()
    return hashes


def inclusion_root(leaf: bytes, index: int, size: int, hashes: "Sequence[bytes]") -> bytes:
    """The root to which an inclusion proof leads; ProofError when it has too many or too few hashes."""
    if not 0 <= index < size:
        raise ProofError("inclusion: index %d is outside a tree of %d leaves" % (index, size))
    node, last, root, used = index, size - 1, leaf, 0
    while last > 0:
        if node & 1 or node < last:
            if used == len(hashes):
                raise ProofError("inclusion: %d hashes are too few for index %d of %d" % (used, index, size))
            root = node_hash(hashes[used], root) if node & 1 else node_hash(root, hashes[used])
            used += 1
        node >>= 1
        last >>= 1
    if used != len(hashes):
        raise ProofError("inclusion: %d hashes given, %d used for index %d of %d" % (len(hashes), used, index, size))
    return root


def check_inclusion(leaf: bytes, index: int, size: int, hashes: "Sequence[bytes]", root: bytes) -> None:
    """Raise ProofError unless the proof leads from `leaf` to `root`."""
    if inclusion_root(leaf, index, size, hashes) != root:
        raise ProofError("inclusion: leaf %d does not lead to the root of %d leaves" % (index, size))


def consistency(subtree: "Callable[[int, int], bytes]", old: int, new: int) -> "list[bytes]":
    """Proof that the tree of `new` leaves extends that of `old` (RFC 6962, section 2.1.2); empty for old 0 or new."""
    if not 0 <= old <= new:
        raise ProofError("consistency: size %d can't be a prefix of size %d" % (old, new))
    if old in (0, new):
        return []
    first, end, whole = 0, new, True
    hashes = []
    while old != end:
        middle = first + split(end - first)
        if old <= middle:
            hashes.append(subtree(middle, end))
            end = middle
        else:
            hashes.append(subtree(first, middle))
            first, whole = middle, False
    if not whole:
        hashes.append(subtree(first, end))
    hashes.reverse()
    return hashes


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, hashes: "Iterable[bytes]") -> None:
    """Raise ProofError unless the tree of `new` leaves is proved to extend that of `old`."""
    rest = list(hashes)
    if not 0 <= old <= new:
        raise ProofError("consistency: size %d can't be a prefix of size %d" % (old, new))
    if old in (0, new):
        known = EMPTY_ROOT if old == 0 else new_root
        if rest or old_root != known:
            raise ProofError("consistency: sizes %d and %d need no hashes and the same beginning" % (old, new))
        return
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    if node:
        if not rest:
            raise ProofError("consistency: no hashes given for sizes %d and %d" % (old, new))
        before = after = rest.pop(0)
    else:
        before = after = old_root
    while last:
        if node & 1 or node < last:
            if not rest:
                raise ProofError("consistency: too few hashes for sizes %d and %d" % (old, new))
            sibling = rest.pop(0)
            if node & 1:
                before = node_hash(sibling, before)
                after = node_hash(sibling, after)
            else:
                after = node_hash(after, sibling)
        node >>= 1
        last >>= 1
    if rest:
        raise ProofError("consistency: %d hashes left over for sizes %d and %d" % (len(rest), old, new))
    if before != old_root:
        raise ProofError("consistency: the hashes do not lead to the root of %d leaves" % old)
    if after != new_root:
        raise ProofError("consistency: the hashes do not lead to the root of %d leaves" % new)


def _check_ranges(ranges: "Sequence[tuple[int, int]]", size: int) -> None:
    last = -1
    for first, end in ranges:
        if not last < first < end <= size:
            raise ProofError("ranges must ascend, not touch, not be empty and end by %d: got %d to %d" % (size, first, end))
        last = end
    if not ranges:
        raise ProofError("a range proof needs at least one range")


def _meets(ranges: "Sequence[tuple[int, int]]", first: int, end: int) -> bool:
    """Whether any range has a leaf in [first, end): the first range that ends behind `first` decides."""
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if ranges[middle][1] > first:
            high = middle
        else:
            low = middle + 1
    return low < len(ranges) and ranges[low][0] < end


def _outside(ranges: "Sequence[tuple[int, int]]", size: int) -> "Iterator[tuple[int, int, bool]]":
    """Subtrees wholly outside all ranges and single leaves inside them, left to right: (first, end, inside)."""
    todo = [(0, size)]
    while todo:
        first, end = todo.pop()
        if not _meets(ranges, first, end):
            yield first, end, False
        elif end - first == 1:
            yield first, end, True
        else:
            middle = first + split(end - first)
            todo.append((middle, end))
            todo.append((first, middle))


def range_hashes(subtree: "Callable[[int, int], bytes]", ranges: "Sequence[tuple[int, int]]", size: int) -> "list[bytes]":
    """Roots of the maximal subtrees wholly outside all `ranges` [(first, end), …], left to right."""
    _check_ranges(ranges, size)
    return [subtree(first, end) for first, end, inside in _outside(ranges, size) if not inside]


def range_root(size: int, ranges: "Sequence[tuple[int, int]]", leaves: "Iterable[bytes]", hashes: "Iterable[bytes]") -> bytes:
    """The root that the leaf hashes of the ranges (in order) and the outside hashes give; ProofError unless all are used."""
    _check_ranges(ranges, size)
    if size >> MAX_DEPTH:
        raise ProofError("a tree of %d leaves is larger than any journal" % size)
    lines, others = iter(leaves), iter(hashes)
    try:
        root = _range_walk(0, size, ranges, lines, others)
    except StopIteration:
        raise ProofError("the range proof has too few lines or hashes for a tree of %d leaves" % size)
    for rest, what in ((lines, "line"), (others, "hash")):
        for _ in rest:
            raise ProofError("the range proof has a %s too many for a tree of %d leaves" % (what, size))
    return root


def _range_walk(first: int, end: int, ranges: "Sequence[tuple[int, int]]", leaves: "Iterator[bytes]", hashes: "Iterator[bytes]") -> bytes:
    if not _meets(ranges, first, end):
        return next(hashes)
    if end - first == 1:
        return next(leaves)
    middle = first + split(end - first)
    left = _range_walk(first, middle, ranges, leaves, hashes)
    return node_hash(left, _range_walk(middle, end, ranges, leaves, hashes))

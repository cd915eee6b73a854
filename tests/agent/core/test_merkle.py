"""Trees and proofs, against Go's implementation (vectors), a naive reading of RFC 6962, and every single change to a proof."""

import hashlib
import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import merkle
from agent.core.errors import ProofError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/transparency.json").read_text())
LINES = [f'{{"at":{1763712000000 + i * 1000},"up":{i * 1000},"kind":"health","n":{i},"note":"行政执法 {i}"}}'.encode() for i in range(300)]
LEAVES = [merkle.leaf_hash(line) for line in LINES]
SOURCE = merkle.from_leaves(LEAVES)


def naive_root(lines):
    """RFC 6962, section 2.1, word by word."""
    if not lines:
        return hashlib.sha256().digest()
    if len(lines) == 1:
        return hashlib.sha256(b"\0" + lines[0]).digest()
    k = 1 << ((len(lines) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + naive_root(lines[:k]) + naive_root(lines[k:])).digest()


def test_roots_are_those_of_the_vectors():
    for size, root in VECTORS["roots"].items():
        assert merkle.root_of(LEAVES[: int(size)]) == b64decode(root)


def test_rfc6962_empty_tree():
    assert merkle.EMPTY_ROOT == hashlib.sha256(b"").digest() == merkle.Range().root()


@pytest.mark.parametrize("known", VECTORS["inclusion"], ids=lambda v: f"{v['index']} of {v['size']}")
def test_inclusion_vectors(known):
    hashes = [b64decode(h) for h in known["proof"]]
    assert merkle.inclusion(SOURCE, known["index"], known["size"]) == hashes
    merkle.check_inclusion(LEAVES[known["index"]], known["index"], known["size"], hashes, merkle.root_of(LEAVES[: known["size"]]))


@pytest.mark.parametrize("known", VECTORS["consistency"], ids=lambda v: f"{v['old']} to {v['size']}")
def test_consistency_vectors(known):
    hashes = [b64decode(h) for h in known["proof"]]
    old, new = known["old"], known["size"]
    assert merkle.consistency(SOURCE, old, new) == hashes
    merkle.check_consistency(old, merkle.root_of(LEAVES[:old]), new, merkle.root_of(LEAVES[:new]), hashes)


@pytest.mark.parametrize("known", VECTORS["range"], ids=lambda v: str(v["ranges"]))
def test_range_vectors(known):
    hashes = [b64decode(h) for h in known["hashes"]]
    size, ranges = known["size"], known["ranges"]
    assert merkle.range_hashes(SOURCE, ranges, size) == hashes
    leaves = [LEAVES[i] for first, end in ranges for i in range(first, end)]
    assert merkle.range_root(size, ranges, leaves, hashes) == merkle.root_of(LEAVES[:size])


@given(st.integers(0, 300))
def test_a_compact_range_gives_the_naive_root_with_logarithmic_state(size):
    tree = merkle.Range()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    assert tree.root() == naive_root(LINES[:size])
    assert len(tree.hashes) == size.bit_count()
    again = merkle.Range(tree.size, tree.hashes)
    again.append(LEAVES[0])
    assert again.root() == naive_root([*LINES[:size], LINES[0]])
    assert tree.size == size


def test_a_compact_range_refuses_hashes_that_do_not_fit_its_size():
    with pytest.raises(ProofError, match="size 5 needs 2 hashes, got 1"):
        merkle.Range(5, [b"x" * 32])


@given(st.integers(1, 300), st.data())
def test_inclusion_holds_for_its_line_alone(size, data):
    index = data.draw(st.integers(0, size - 1))
    hashes = merkle.inclusion(SOURCE, index, size)
    root = merkle.root_of(LEAVES[:size])
    merkle.check_inclusion(LEAVES[index], index, size, hashes, root)
    for wrong in (hashes[:-1], [*hashes, root]):
        if wrong != hashes:
            with pytest.raises(ProofError):
                merkle.check_inclusion(LEAVES[index], index, size, wrong, root)
    other = data.draw(st.integers(0, 299))
    if other != index:
        with pytest.raises(ProofError):
            merkle.check_inclusion(LEAVES[other], index, size, hashes, root)


@given(st.integers(0, 300), st.integers(0, 300), st.data())
def test_consistency_holds_for_prefixes_alone(a, b, data):
    old, new = min(a, b), max(a, b)
    hashes = merkle.consistency(SOURCE, old, new)
    roots = merkle.root_of(LEAVES[:old]), merkle.root_of(LEAVES[:new])
    merkle.check_consistency(old, roots[0], new, roots[1], hashes)
    for place in range(len(hashes)):
        changed = list(hashes)
        changed[place] = data.draw(st.binary(min_size=32, max_size=32).filter(hashes[place].__ne__))
        with pytest.raises(ProofError):
            merkle.check_consistency(old, roots[0], new, roots[1], changed)
    with pytest.raises(ProofError):
        merkle.check_consistency(old, roots[0], new, roots[1], [*hashes, roots[0]])
    if hashes:
        with pytest.raises(ProofError):
            merkle.check_consistency(old, roots[0], new, roots[1], hashes[:-1])


@st.composite
def ranges_of(draw, size):
    cuts = sorted(draw(st.sets(st.integers(0, size), min_size=2, max_size=8)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return [p for p in pairs if p[0] < p[1]]


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), ranges_of(n))), st.data())
def test_range_proofs_hold_for_their_lines_alone(case, data):
    size, ranges = case
    leaves = [LEAVES[i] for first, end in ranges for i in range(first, end)]
    hashes = merkle.range_hashes(SOURCE, ranges, size)
    root = merkle.root_of(LEAVES[:size])
    assert merkle.range_root(size, ranges, leaves, hashes) == root
    place = data.draw(st.integers(0, len(leaves) - 1))
    with pytest.raises(ProofError, match="too few"):
        merkle.range_root(size, ranges, leaves[:-1], hashes)
    with pytest.raises(ProofError, match="a line too many"):
        merkle.range_root(size, ranges, [*leaves, root], hashes)
    with pytest.raises(ProofError, match="a hash too many"):
        merkle.range_root(size, ranges, leaves, [*hashes, root])
    changed = list(leaves)
    changed[place] = merkle.leaf_hash(b"forged")
    assert merkle.range_root(size, ranges, changed, hashes) != root


@pytest.mark.parametrize("ranges", [[], [(3, 3)], [(2, 1)], [(0, 2), (2, 4)], [(4, 6), (0, 1)], [(0, 301)], [(-1, 2)]])
def test_ranges_that_do_not_ascend_apart_are_refused(ranges):
    with pytest.raises(ProofError):
        merkle.range_root(300, ranges, LEAVES, [])


def test_a_proof_of_an_absurd_size_is_refused_quickly():
    with pytest.raises(ProofError):
        merkle.range_root(1 << 63, [(0, 1)], LEAVES[:1], [LEAVES[0]] * 70)
    with pytest.raises(ProofError):
        merkle.range_root((1 << 63) - 1, [(0, 1)], LEAVES[:1], [])

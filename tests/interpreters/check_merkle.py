"""Trees under either interpreter: compact range, roots, inclusion and consistency."""

import binascii
import sys

from agent.core import merkle
from agent.core.errors import ProofError


def leaf(index):
    """The leaf of the vectors' line; written here by hand, so that the tree is checked alone."""
    at = 1763712000000 + index * 1000
    return merkle.leaf_hash(('{"at":%d,"up":%d,"kind":"health","n":%d,"note":"行政执法 %d"}' % (at, index * 1000, index, index)).encode())


def subtree(first, end):
    """A source that keeps nothing: every leaf is hashed when it is asked for."""
    return merkle.root_of(leaf(index) for index in range(first, end))


def main(arguments):
    """`arguments`: none. Prints the root at every size to 20 and at 300, and proofs that were checked."""
    tree = merkle.Range()
    for size in range(301):
        if size <= 20 or size == 300:
            print("root", size, binascii.hexlify(tree.root()).decode())
        tree.append(leaf(size))
    for index, size in ((0, 1), (2, 7), (99, 100)):
        hashes = merkle.inclusion(subtree, index, size)
        merkle.check_inclusion(leaf(index), index, size, hashes, subtree(0, size))
        print("inclusion", index, size, len(hashes), binascii.hexlify(b"".join(hashes)[:8]).decode())
        try:
            merkle.check_inclusion(leaf(index + 1), index, size, hashes, subtree(0, size))
        except ProofError as error:
            print("refused", error)
        else:
            raise AssertionError("a foreign leaf was proved")
    for old, new in ((3, 7), (64, 100)):
        hashes = merkle.consistency(subtree, old, new)
        merkle.check_consistency(old, subtree(0, old), new, subtree(0, new), hashes)
        print("consistency", old, new, len(hashes))


if __name__ == "__main__":
    main(sys.argv[1:])

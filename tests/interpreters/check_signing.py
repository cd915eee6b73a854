"""A node that signs its own journal: lines into the tree, checkpoints signed and read, a cosignature verified, a batch for the wire."""

import binascii
import hashlib
import sys

from agent.core import ed25519, lines, merkle, note, wire
from agent.core.errors import NoteError


def main(arguments):
    """`arguments`: a file with a figure each line: device seed (hex), origin, witness's vkey, size, seconds, cosignature (base64).

    Signs the checkpoint of so many lines of the vectors, takes the witness's signature over it, and prints the notes' digests.
    """
    with open(arguments[0]) as file:
        seed_hex, origin, witness, size, _seconds, signature = [row.strip() for row in file]
    seed = binascii.unhexlify(seed_hex)
    public = ed25519.public_key(seed)
    tree = merkle.Range()
    held: "list[bytes]" = []
    for i in range(int(size)):
        members = [("at", 1763712000000 + i * 1000), ("up", i * 1000), ("kind", "health"), ("n", i), ("note", "行政执法 %d" % i)]
        line = lines.write(members)
        held = held[-3:] + [line]
        tree.append(merkle.leaf_hash(line))
    body = note.checkpoint(origin, tree.size, tree.root())
    signed = note.sign(body, origin, note.ED25519, public, lambda message: ed25519.sign(seed, message))
    print("signed", binascii.hexlify(hashlib.sha256(signed.encode()).digest()).decode())
    vkey = note.vkey(origin, note.ED25519, public)
    print("vkey", vkey)
    cosigned = note.add(signed, "\u2014 %s %s\n" % (witness.split("+")[0], signature))
    print("cosigned", binascii.hexlify(hashlib.sha256(cosigned.encode()).digest()).decode())
    opened, signatures = note.open_note(cosigned, [note.verifier(vkey), note.verifier(witness)])
    assert opened == body
    print("opened", [(one.name, one.seconds) for one in signatures])
    batch = wire.encode_batch(tree.size - len(held), held, cosigned)
    assert wire.decode_batch(batch).lines == held
    print("batch", binascii.hexlify(hashlib.sha256(batch).digest()).decode())
    try:
        note.open_note(cosigned.replace("\n%d\n" % tree.size, "\n%d\n" % (tree.size + 1)), [note.verifier(vkey)])
    except NoteError as error:
        print("refused", error)
    else:
        raise AssertionError("a changed checkpoint was opened")


if __name__ == "__main__":
    main(sys.argv[1:])

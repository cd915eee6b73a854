"""Every vector of the repository, by the code of the core alone."""

import binascii
import hashlib
import json
import sys

from agent.core import ed25519, lines, merkle, note, p256, sha512


def base64(word):
    return binascii.a2b_base64(word)


def leaves_of(known):
    """The 300 lines of the vectors; those that are spelt out must be those of the template."""
    leaves = []
    for i in range(300):
        members = [("at", 1763712000000 + i * 1000), ("up", i * 1000), ("kind", "health"), ("n", i), ("note", "行政执法 %d" % i)]
        line = lines.write(members)
        if i < len(known):
            assert line == known[i].encode(), i
        leaves.append(merkle.leaf_hash(line))
    return leaves


def trees(vectors):
    leaves = leaves_of(vectors["first_lines"])
    source = merkle.from_leaves(leaves)
    for size in sorted([int(size) for size in vectors["roots"]]):
        assert source(0, size) == base64(vectors["roots"][str(size)]), size
        print("root", size)
    for known in vectors["inclusion"]:
        hashes = [base64(word) for word in known["proof"]]
        assert merkle.inclusion(source, known["index"], known["size"]) == hashes
        merkle.check_inclusion(leaves[known["index"]], known["index"], known["size"], hashes, source(0, known["size"]))
        print("inclusion", known["index"], known["size"])
    for known in vectors["consistency"]:
        hashes = [base64(word) for word in known["proof"]]
        assert merkle.consistency(source, known["old"], known["size"]) == hashes
        merkle.check_consistency(known["old"], source(0, known["old"]), known["size"], source(0, known["size"]), hashes)
        print("consistency", known["old"], known["size"])
    for known in vectors["range"]:
        hashes = [base64(word) for word in known["hashes"]]
        inside = [leaves[index] for first, end in known["ranges"] for index in range(first, end)]
        assert merkle.range_hashes(source, known["ranges"], known["size"]) == hashes
        assert merkle.range_root(known["size"], known["ranges"], inside, hashes) == source(0, known["size"])
        print("range", known["ranges"], known["size"])


def notes(vectors):
    keys = vectors["keys"]
    device, witness = binascii.unhexlify(keys["device_seed_hex"]), binascii.unhexlify(keys["witness_seed_hex"])
    publics = ed25519.public_key(device), ed25519.public_key(witness)
    assert note.vkey(keys["origin"], note.ED25519, publics[0]) == keys["device_vkey"]
    assert note.vkey(keys["witness"], note.COSIGNATURE, publics[1]) == keys["witness_vkey"]
    known_keys = [note.verifier(keys["device_vkey"]), note.verifier(keys["witness_vkey"])]
    for known in vectors["checkpoints"]:
        head = note.parse_checkpoint(known["body"])
        assert head.root == base64(vectors["roots"][str(known["size"])])
        assert note.checkpoint(head.origin, head.size, head.root) == known["body"]
        signed = note.sign(known["body"], keys["origin"], note.ED25519, publics[0], lambda message: ed25519.sign(device, message))
        assert signed == known["signed"]
        line = note.cosign(signed, keys["witness"], publics[1], lambda message: ed25519.sign(witness, message), known["cosigned_at"])
        assert note.add(signed, line) == known["cosigned"]
        body, held = note.open_note(known["cosigned"], known_keys)
        assert body == known["body"]
        assert [one.seconds for one in held] == [None, known["cosigned_at"]]
        print("checkpoint", known["size"], binascii.hexlify(hashlib.sha256(known["cosigned"].encode()).digest()).decode())
    ecdsa = vectors["ecdsa"]
    verifier = note.verifier(ecdsa["vkey"])
    assert verifier.key == base64(ecdsa["spki_base64"])
    assert note.open_note(ecdsa["signed"], [verifier])[0] == ecdsa["body"]
    print("ecdsa", ecdsa["vkey"])


def curves(signatures, ecdsa):
    for known in signatures["vectors"]:
        seed, public, message, signature = [binascii.unhexlify(known[name]) for name in ("seed", "public", "message", "signature")]
        assert ed25519.public_key(seed) == public
        assert ed25519.sign(seed, message) == signature
        assert ed25519.verify(public, message, signature)
        assert not ed25519.verify(public, message + b"\0", signature)
        print("ed25519", known["name"])
    for known in ecdsa["vectors"]:
        public, message, signature = [binascii.unhexlify(known[name]) for name in ("public", "message", "signature")]
        assert p256.verify(public, message, signature)
        assert not p256.verify(public, message + b"\0", signature)
        print("p256", known["name"])
    for size in (0, 1, 111, 112, 127, 128, 129, 300):
        print("sha512", size, binascii.hexlify(sha512.pure(b"z" * size)[:8]).decode())


def main(arguments):
    """`arguments`: transparency.json, ed25519.json, p256.json."""
    loaded = []
    for path in arguments:
        with open(path, "rb") as file:
            loaded.append(json.loads(file.read().decode()))
    trees(loaded[0])
    notes(loaded[0])
    curves(loaded[1], loaded[2])


if __name__ == "__main__":
    main(sys.argv[1:])

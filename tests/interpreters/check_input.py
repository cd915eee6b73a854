"""What comes from outside, good and bad: both interpreters must say the same of every byte string."""

import binascii
import sys

from agent.core import kinds, lines, nmea, note, p256, ulid, wire
from agent.core.errors import CoreError


def plain(value):
    """Any value of a line as text that does not depend on the order of a dict or on how an interpreter prints."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted([plain(name) + ":" + plain(value[name]) for name in value])) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([plain(one) for one in value]) + "]"
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return "'" + binascii.hexlify(value).decode() + "'"
    return str(value)


def of_batch(data):
    batch = wire.decode_batch(data)
    return plain([batch.first, batch.lines, batch.origin, batch.size, batch.root])


def of_nmea(data):
    parser = nmea.Parser()
    return plain([list(parser.feed(data)) + list(parser.flush()), parser.errors])


def of_tlog_proof(data):
    proof = note.parse_tlog_proof(note.text(data))
    return plain([proof.index, proof.hashes, proof.checkpoint, proof.extra])


def of_range_proof(data):
    proof = note.parse_range_proof(note.text(data))
    return plain([proof.ranges, proof.hashes, proof.checkpoint])


READERS = {
    "line": lambda data: plain(lines.read(data)),
    "meaning": lambda data: plain(kinds.meaning(data)),
    "batch": of_batch,
    "note": lambda data: plain(note.split(note.text(data))),
    "tlog-proof": of_tlog_proof,
    "range-proof": of_range_proof,
    "order": lambda data: plain(note.parse_order(note.text(data))),
    "vkey": lambda data: plain(note.verifier(note.text(data)).vkey),
    "origin": lambda data: plain(wire.parse_origin(note.text(data))),
    "der": lambda data: plain(p256.signature(data)),
    "nmea": of_nmea,
    "ulid": lambda data: plain(ulid.parse(note.text(data))),
}


def main(arguments):
    """`arguments`: a file of rows `<reader> <hex>`. Prints what is read, or which error with which words."""
    with open(arguments[0]) as file:
        for row in file:
            reader, _, data = row.strip().partition(" ")
            try:
                print(reader, READERS[reader](binascii.unhexlify(data)))
            except CoreError as error:
                print(reader, type(error).__name__, plain(str(error)))


if __name__ == "__main__":
    main(sys.argv[1:])

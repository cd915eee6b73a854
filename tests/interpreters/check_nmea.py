"""A receiver's log under either interpreter, read in pieces of 64 bytes as a serial port gives them."""

import binascii
import hashlib
import sys

from agent.core import nmea

MEMBERS = ("lat", "lon", "alt", "speed", "course", "hdop", "time_ms", "valid")


def main(arguments):
    """`arguments`: the log. Prints how many fixes there are, a digest over all of them, the last one, and what was not understood."""
    parser = nmea.Parser()
    total = hashlib.sha256()
    count = valid = 0
    last = {}
    with open(arguments[0], "rb") as log:
        piece = log.read(64)
        while piece:
            for fix in parser.feed(piece):
                last = fix
                count += 1
                valid += 1 if fix["valid"] else 0
                total.update(" ".join([str(fix[name]) for name in MEMBERS]).encode())
            piece = log.read(64)
    print("fixes", count, valid, binascii.hexlify(total.digest()).decode())
    print("last", [last[name] for name in MEMBERS])
    print("errors", [parser.errors[reason] for reason in nmea.REASONS])


if __name__ == "__main__":
    main(sys.argv[1:])

"""Lines, trees and positions in one program: all that a node needs that does not sign."""

import sys

from agent.core import lines, merkle, nmea


def main(arguments):
    """`arguments`: a receiver's log. Each fix becomes a line that is read back, each line a leaf; prints the root."""
    parser = nmea.Parser()
    tree = merkle.Range()
    salt = lines.salt_text(b"0123456789abcdef")
    with open(arguments[0], "rb") as log:
        piece = log.read(64)
        while piece:
            for fix in parser.feed(piece):
                if fix["valid"]:
                    members = [(name, fix[name]) for name in ("lat", "lon", "alt", "speed", "course", "hdop")]
                    line = lines.build("fix", 1763712000000, tree.size, salt, members)
                    assert lines.read(line)["lat"] == fix["lat"]
                    tree.append(merkle.leaf_hash(line))
            piece = log.read(64)
    print("root", tree.size, "".join(["%02x" % byte for byte in tree.root()]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Journal lines under either interpreter: what is built, what is read back, what is refused."""

import binascii
import hashlib
import sys

from agent.core import lines
from agent.core.errors import LineError


def main(arguments):
    """`arguments`: none. Builds the lines of the vectors and prints their digest; refuses what is no line."""
    total = hashlib.sha256()
    for i in range(300):
        members = [("at", 1763712000000 + i * 1000), ("up", i * 1000), ("kind", "health"), ("n", i), ("note", "行政执法 %d" % i)]
        line = lines.write(members)
        read = lines.read(line)
        assert sorted(read) == ["at", "kind", "n", "note", "up"]
        assert read["note"] == "行政执法 %d" % i
        assert read["at"] == 1763712000000 + i * 1000
        total.update(line)
    print("lines", binascii.hexlify(total.digest()).decode())
    fix = [("recording", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("n", 7), ("lat", -377_123_456), ("lon", 1_215_874_067), ("case", None)]
    print("fix", lines.build("fix", 1763712000000, 17, lines.salt_text(b"0123456789abcdef"), fix).decode())
    for line in (
        b"",
        b"{}x",
        b'{"a":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":-0}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b"[1]",
        b'{"a":\t"\x01"}',
    ):
        try:
            lines.read(line)
        except LineError as error:
            print("refused", error)
        else:
            raise AssertionError("read: " + repr(line))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The recorder's rules under either interpreter: long runs of events by a small generator, and a digest of what came of them."""

import binascii
import hashlib
import sys

from agent.core import backoff, preroll, replica, retention, session, trigger, ulid
from agent.core.errors import CoreError


class Chance:
    """The same numbers everywhere: a linear congruential generator (Knuth's MMIX)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self.state >> 33) % limit


class Story:
    """What happened, as a digest and a count."""

    def __init__(self, name):
        self.name = name
        self.digest = hashlib.sha256()
        self.count = 0

    def tell(self, *facts):
        self.digest.update((" ".join([str(fact) for fact in facts]) + "\n").encode())
        self.count += 1

    def end(self):
        print(self.name, self.count, binascii.hexlify(self.digest.digest()).decode())


def presses(chance):
    story = Story("trigger")
    for double_ms in (0, 90):
        button = trigger.Trigger(20, 200, double_ms)
        now_ms = 0
        for _ in range(1500):
            now_ms += chance.below(120)
            given = button.tick(now_ms) if chance.below(4) == 0 else button.edge(chance.below(2) == 1, now_ms)
            story.tell(button.state, given, button.due_ms)
    story.end()


def events(chance):
    story = Story("session")
    recorder = session.Session()
    for _ in range(2000):
        event = session.EVENTS[chance.below(len(session.EVENTS))]
        try:
            story.tell(event, recorder.handle(event), recorder.state)
        except CoreError as error:
            story.tell(error, recorder.state)
    story.end()


def ring(chance):
    story = Story("preroll")
    for _ in range(200):
        at_us = 0
        packets = []
        for _ in range(chance.below(90)):
            at_us += 20000 + chance.below(40000)
            packets.append((at_us, chance.below(12) == 0))
        story.tell(preroll.keep(packets, chance.below(3000000)))
    story.end()


def recording(chance, number):
    return retention.Held(
        "R%d" % number,
        index=chance.below(100) * 16 + number,  # of each line in the journal there is one
        size=chance.below(10**9),
        marked=chance.below(3) == 0,
        stopped=chance.below(6) != 0,
        unsent=chance.below(4) // 3,
        cosigned_s=None if chance.below(6) == 0 else chance.below(2000000),
        receipt=chance.below(5) != 0,
    )


def disk(chance):
    story = Story("retention")
    for _ in range(200):
        held = [recording(chance, number) for number in range(chance.below(9))]
        story.tell([one.refusal() for one in held])
        story.tell(retention.purgeable(held, chance.below(2 * 10**9), (None, 0, 7)[chance.below(3)], chance.below(2000000)))
    story.end()


def sending(chance):
    story = Story("replica")
    half = replica.Replica(0, 0)
    for _ in range(2000):
        what = chance.below(6)
        if what == 0:
            half.grow(half.size + chance.below(9))
        elif what < 4:
            first = half.next_first()
            if first is not None:
                half.note_sent(first + 1 + chance.below(half.size - first))
            story.tell(first)
        elif what == 4:
            story.tell(half.witnessed(chance.below(half.size + 1)))
        else:
            half.rewind()
        story.tell(half.size, half.cosigned, half.sent, half.in_flight)
    story.end()


def names(chance):
    story = Story("ulid")
    waits = backoff.Backoff(500, 60000)
    for _ in range(300):
        at_ms = chance.below(1 << 31) << 16 | chance.below(1 << 16)
        text = ulid.new(at_ms, bytes([chance.below(256) for _ in range(10)]))
        assert ulid.parse(text)[0] == at_ms
        if chance.below(9) == 0:
            waits.reset()
        story.tell(text, waits.next(chance.below(1024) / 1024))
    story.end()


def main(arguments):
    """`arguments`: none."""
    chance = Chance(20251121)
    for part in (presses, events, ring, disk, sending, names):
        part(chance)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Packages that are made to keep a verifier busy: what grows with the square of their size would take days here."""

from __future__ import annotations

import io
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from agent.core import merkle, note
from server.evidence.bag import Bag
from server.evidence.checks.fragments import TrackLines
from server.evidence.checks.journal import Line, check_journal
from server.evidence.checks.sequence import Recording
from server.evidence.checks.stretch import check_stretch
from server.evidence.checks.timeline import check_gaps, covered, merged
from server.evidence.claims import Claims
from server.evidence.gather import Found, Row, media
from server.evidence.manifest import BAGIT, MANIFEST, TAG_MANIFEST, check_bag
from server.evidence.report import Subject, _tracks
from server.evidence.source import Source
from server.evidence.verdict import Check
from tests.server.evidence.forge import JOURNAL, PROOF

MANY = 100_000
RECORDING = "01JD8Z3V9M5Q7R2T4W6Y8A0C1E"


class MemoryBag(Bag):
    """A package without a disk."""

    def __init__(self, content: dict[str, bytes]) -> None:
        super().__init__("memory")
        self._content = content
        for name, data in content.items():
            self.add(name, len(data))

    def open(self, name: str) -> io.BytesIO:
        return io.BytesIO(self._content[name])


def test_as_many_faults_as_rows_that_miss_their_file():
    rows = "".join(f"{'0' * 64}  data/custody/{i}.tlog-proof\n" for i in range(MANY)).encode()
    bag = MemoryBag({"bagit.txt": BAGIT.encode(), MANIFEST: rows, TAG_MANIFEST: b"0" * 64 + b"  bagit.txt\n"})
    for i in range(MANY):
        bag.fault(f"data/{i} {i}", "a name that no file of a package has")
    check = Check("files")
    check_bag(check, bag, media_too=False)
    assert check.verdict == "tampered"
    assert check.count > 2 * MANY


def test_as_many_gaps_as_fragments():
    def line(index: int, **members: Any) -> Line:
        return Line(index, b"", b"", {"recording": RECORDING, "n": index, "track": "front", **members})

    # A second of media, a second that is stated to be lost: a hundred thousand times.
    gaps = [line(i, kind="gap", **{"from": 2000 * i + 1000}, lost=1000, reason="camera") for i in range(MANY)]
    fragments = {i + 1: {"seq": i + 1, "pts": 2000 * i, "duration": 1000} for i in range(MANY)}
    claims = Claims("example.gov/D/1", "example.gov", "D", RECORDING, part=False, tracks=())
    check = Check("gaps")
    check_gaps(check, claims, Recording(lines=gaps), {"front": TrackLines("front", {}, fragments)})
    assert (check.verdict, check.figures["lost_ms"]) == ("intact", 1000 * MANY)


def test_as_many_tracks_as_fragments_to_export():
    class Nothing:
        """A source without bytes."""

        def media(self, *_where: object) -> None:
            return None

    found = Found("example.gov/D/1", RECORDING)
    for i in range(MANY // 4):
        track = {"kind": "track", "track": f"t{i}", "media": "video/mp4", "codecs": "avc1", "source": ""}
        found.rows.append(Row(2 * i, b"", track))
        members = {"kind": "fragment", "track": f"t{i}", "seq": 0, "offset": 0, "bytes": 1, "sha256": "", "pts": 0, "duration": 0}
        found.rows.append(Row(2 * i + 1, b"", members))
    tracks, files = media(cast("Source", Nothing()), found)
    assert (len(tracks), files) == (MANY // 4, [])
    assert _tracks(Subject(found, tracks, [], None, None)).count("0 / 1") == MANY // 4


def test_of_a_line_of_a_thousand_members_only_what_is_asked_for_is_kept():
    def line(kind: str, *more: str) -> bytes:
        said = (f'"recording":"{RECORDING}"', *more, '"salt":""')
        return ",".join([f'{{"at":1,"up":2,"kind":"{kind}"', *said]).encode() + b"}"

    many = [f'"{i:x}":[[]]' for i in range(300)]
    start = ('"trigger":"button"', '"officer":""', '"case":""', '"matter":""', '"epoch":0', '"governing":["a","b"]')
    rows = [line("start", '"n":0', *start), line("later", '"n":1', *many), line("mark", '"n":2', '"label":"[x]"', *many)]
    rows += [line("start", '"n":3', *start), line("sense", '"n":4', *(f'"{i:x}":1' for i in range(300)))]
    origin = "example.gov/D/1"
    leaves = [merkle.leaf_hash(row) for row in rows]
    proof = note.range_proof([(0, len(rows))], [], f"{note.checkpoint(origin, len(rows), merkle.root_of(leaves))}\n— x AAAAAAA=\n")
    bag = MemoryBag({JOURNAL: b"".join(row + b"\n" for row in rows), PROOF: proof.encode()})
    read = check_journal(Check("journal"), bag, Claims(origin, "example.gov", "D", RECORDING, part=False, tracks=())).lines
    kept = [one.members or {} for one in read]
    assert [members["n"] for members in kept] == [0, 1, 2, 3, 4]
    assert [members.get("governing") for members in kept] == [["a", "b"], None, None, [], None]
    assert kept[2]["label"] == "[x]"
    assert max(len(members) for members in kept) < 16


def test_an_excerpt_that_jumps_to_and_fro_over_all_its_gaps():
    def line(index: int, **members: Any) -> Line:
        return Line(index, b"", b"", {"recording": RECORDING, "n": index, "track": "front", **members})

    far = 2000 * MANY
    gaps = [line(i, kind="gap", **{"from": 2000 * i + 10}, lost=5, reason="camera") for i in range(MANY)]
    shown = [line(MANY + i, kind="fragment", seq=2 * i + 1, pts=far * (i % 2), duration=1) for i in range(MANY)]
    check = Check("custody")
    check_stretch(check, Recording(lines=[*gaps, *shown]), 0, far + 10)
    assert (check.verdict, check.count) == ("incomplete", MANY // 2)


SPANS = st.lists(st.tuples(st.integers(-20, 60), st.integers(0, 30)).map(lambda p: (p[0], p[0] + p[1])), max_size=12)


@given(SPANS, st.integers(-10, 50), st.integers(0, 40))
def test_each_moment_is_covered_once(gaps, first, length):
    moments = {at for low, high in gaps for at in range(low, high)}
    assert covered(first, first + length, merged(gaps)) == len(moments & set(range(first, first + length)))

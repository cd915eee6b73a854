"""What others say and what a disk gives back as JSON: a server's answers, a device's states, the device's own notes to itself.

An answer that is none is no answer; a note that can't be read is none. Nothing of it may end a daemon or a start.
"""

from __future__ import annotations

import io
import json
import urllib.error
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from agent.buffer import schema
from agent.core import lines
from agent.journal import aside, splice, story
from agent.journal.errors import Damaged
from agent.uplink import doubts, upload
from agent.uplink.https import json_object
from server.api import playback
from server.browsers import is_loopback
from server.evidence import claims, export
from server.evidence.errors import EvidenceError
from server.evidence.reading import ledger_line, meaning
from server.ingest import facts
from server.ingest.media import content_digest
from server.problems import Problem
from server.registry.devices import Devices
from simulators.powercut import SimulatedFiles
from tests.fuzz.hostile import DEEP, WORDS, bytes_like, json_bytes_like, json_like
from tests.fuzz.test_signed_texts import CHECKPOINT, COSIGNED
from tests.server.virtual import Device

KINDS = ("application/json", "application/problem+json; charset=utf-8", "text/html", "")
RECORDING = "01HF7YATZ8YPRPA8JAB2VS3WER"
HELD: dict[str, Any] = {
    "device": "DSJ-1",
    "recording": RECORDING,
    "state": "uploading",
    "tracks": [{"track": "front", "held": [[0, 4], [5, 6]], "missing": [[4, 5]]}],
}
PROBLEM = {"type": "urn:zhilu:mismatch", "title": "…", "status": 422, "detail": "…", "seq": 3}
STORED = {"track": "front", "first": 0, "end": 4, "bytes": 200, "stored": 4}
INFINITE = json.dumps(HELD).replace("[5, 6]", "[5, 1e999]").encode()


@given(st.sampled_from(KINDS), st.sampled_from([200, 404, 422, 500]), json_bytes_like(HELD, PROBLEM, STORED))
@example(KINDS[0], 200, b"[" * DEEP)
@example(KINDS[0], 200, INFINITE)
def test_whatever_a_server_answers_is_an_answer_or_none(kind, status, body):
    said = json_object(kind, body)
    assert said is None or isinstance(said, dict)
    held = doubts._held(RECORDING, status, said)
    assert held is None or all(isinstance(first, int) for ranges in held.values() for first, _ in ranges)
    assert upload.judge([], status, kind, body).outcome in ("sent", "not-yet", "mismatch", "failed")


def test_what_is_held_is_read():
    said = json_object(KINDS[0], json.dumps(HELD).encode())
    assert doubts._held(RECORDING, 200, said) == {"front": [(0, 4), (5, 6)]}


@given(json_bytes_like(PROBLEM, ["not", "an", "object"]))
@example(b'["a list"]')
@example(b"[" * DEEP)
def test_any_refusal_of_an_export_becomes_a_sentence(body):
    error = urllib.error.HTTPError("http://127.0.0.1/", 409, "Conflict", Message(), io.BytesIO(body))
    assert isinstance(export._problem(error), str)


DEVICE = Device()
DEVICE.record(fragments=2)
STATE = {"at": 1, "online": True, "free": 1 << 40, "alarms": ["disk"], "nested": {"a": [1, {"b": None}]}}


@given(json_bytes_like(STATE))
@example(b"[" * DEEP)
@example(b'{"a":' * DEEP)
@example(b'{"a":1e999}')
@example(b'{"a":"\\ud800"}')
def test_any_state_of_a_device_is_kept_as_json_or_refused(payload):
    devices = Devices(list, {})
    try:
        devices.hear("DSJ-1", "health", payload, 1)
    except ValueError:
        assert not devices.unwritten()
        return
    ((_, (_, text)),) = devices.unwritten().items()
    again = Devices(list, {("DSJ-1", "health"): (1, text)})
    assert again._said == devices._said


# --------------------------------------------------------------------------- lines that say odd things


def odd_lines() -> st.SearchStrategy[bytes]:
    genuine = [json.loads(line) for line in DEVICE.lines]
    return json_like(*genuine).map(lambda value: json.dumps(value).encode()) | bytes_like(*DEVICE.lines)


@given(odd_lines())
@example(b'{"a":' * 600)
def test_any_line_means_something_or_nothing_to_everybody(line):
    story.parse(line)
    schema._members(line)
    facts.read(line)
    for read in (meaning, ledger_line):
        with suppress(lines.LineError):
            read(line)


# --------------------------------------------------------------------------- notes to oneself

FOLDER = Path("/state/journal/1")


def noted(name: str, data: bytes) -> SimulatedFiles:
    files = SimulatedFiles()
    files.make_folder(FOLDER)
    files.replace(FOLDER / name, data)
    return files


TALE = story.Story()
for number, one in enumerate(DEVICE.lines):
    TALE.add(number, one)
TOLD = TALE.dump()
FINDINGS = {"abandoned": CHECKPOINT, "items": {"lines@3": ["lines", 4]}}
SPLICE = {"at": 3, "fetched": 2, "note": COSIGNED}


def test_notes_are_read_as_they_were_written():
    assert story.Story.load(TOLD, DEVICE.size) == TALE
    found = aside.Findings.load(noted(aside.FINDINGS, json.dumps(FINDINGS).encode()), FOLDER)
    assert (found.abandoned, found.items) == (CHECKPOINT, {"lines@3": ("lines", 4)})
    waiting = splice.noted(noted(splice.NAME, json.dumps(SPLICE).encode() + b"\na\nb\nc\n"), FOLDER)
    assert waiting == splice.Splice(3, [b"a", b"b"], [b"c"], COSIGNED)


@given(json_bytes_like(json.loads(TOLD)))
@example(b"[" * DEEP)
def test_any_state_beside_a_segment_is_a_story_or_damaged(data):
    with suppress(Damaged):
        story.Story.load(data, DEVICE.size)


@given(json_bytes_like(FINDINGS))
@example(b"[" * DEEP)
@example(b'{"abandoned":null,"items":{"a":["lines","x"]}}')
def test_any_findings_can_be_counted(data):
    found = aside.Findings.load(noted(aside.FINDINGS, data), FOLDER)
    assert isinstance(found.total("lines"), int)
    found.save(SimulatedFiles(_folders={FOLDER}), FOLDER)


@given(json_bytes_like(SPLICE), st.sampled_from([b"", b"\n", b"\na\nb\nc\n", b"\na\n"]))
@example(b'{"fetched":2}', b"\na\nb\n")
@example(b'{"at":3,"fetched":"2","note":""}', b"\na\nb\n")
@example(b"[" * DEEP, b"\n")
def test_any_note_of_a_splice_is_one_or_none(data, behind):
    waiting = splice.noted(noted(splice.NAME, data + behind), FOLDER)
    assert waiting is None or (isinstance(waiting.at, int) and isinstance(waiting.note, str))


# --------------------------------------------------------------------------- HTTP

WORD_TEXTS = st.text(max_size=30) | st.sampled_from([word.decode("latin-1") for word in WORDS])


@given(WORD_TEXTS, st.integers(0, 1 << 40))
@example("bytes=" + "9" * 5_000 + "-", 10)
@example("bytes=²-", 10)
def test_any_header_is_understood_ignored_or_refused(text, size):
    for value in (text, f"bytes={text}", f"bytes={text}-", f"bytes=-{text}"):
        with suppress(Problem):
            found = playback.parse_range(value, size)
            assert found is None or 0 <= found[0] < found[1] <= size
    for value in (text, f"sha-256=:{text}:"):
        with suppress(Problem):
            content_digest(value)
    is_loopback(text)


@given(json_bytes_like(json.loads(claims.write(DEVICE.origin, RECORDING, [claims.Track("front", "video/mp4", ((0, 4),))], part=False))))
@example(b"[" * DEEP)
def test_any_claims_are_an_object_or_refused(data):
    with suppress(EvidenceError, UnicodeDecodeError):
        assert isinstance(claims._strict(data.decode()), dict)

"""The handshake's consequence: the server holds more of this journal than the device, which takes its own lines back.

Rules (docs/evidence-format.md, section 4, handshake):
- Fetched lines count when they extend what we have and give the root that our own key signed and the server cosigned.
- Our own unpublished lines follow unchanged, except those of a recording that the fetched lines contain: these are dropped,
  and the recording's `gap` and `stop` are written anew with the next `n`, unless it is stopped already. They come first, so
  that no recording begins within another one.
- A `gap` is written for every fragment whose bytes are gone.
- Unpublished is what a start wrote before its handshake was answered: it begins with a `boot` line. Where the two part at any
  other line, or below what was cosigned, they exclude each other: recording goes on in journal n+1, and both are kept.

Fetching, and checking whose cosignature a note holds, is the uplink's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core import merkle, note, wire
from agent.core.errors import NoteError
from agent.journal import aside, heads, recovery, salvage, splice
from agent.journal.errors import Contradiction, disk
from agent.journal.journal import Journal
from agent.journal.log import read_cosigned
from agent.journal.media import EXTENSIONS, MediaFiles
from agent.journal.scribe import Scribe
from agent.journal.signer import verifier
from agent.journal.story import Story, parse
from hal.contracts import Files, Signer


@dataclass(frozen=True, slots=True)
class Merger:
    """The journals part at line `at`: `fetched` come there, then what `touched` recordings need, then `kept` lines of ours."""

    at: int
    fetched: list[bytes]
    kept: list[bytes]
    touched: list[str]


def reconcile(first: int, ours: Sequence[bytes], fetched: Sequence[bytes], cosigned: int) -> Merger | None:
    """How lines `fetched` from index `first` on go together with `ours`; None when we have them all. Contradiction when not."""
    common = 0
    while common < min(len(ours), len(fetched)) and ours[common] == fetched[common]:
        common += 1
    if common == len(fetched):
        return None
    at, rest, new = first + common, ours[common:], list(fetched[common:])
    if at < cosigned:
        raise Contradiction(f"the server's line {at} is not ours, and was cosigned as ours up to {cosigned}")
    if rest and (parse(rest[0]) or {}).get("kind") != "boot":
        raise Contradiction(f"the server's line {at} is not ours, and ours is not the first of a start: both were signed")
    touched = list(dict.fromkeys(name for name in map(_recording, new) if name))
    kept = [line for line in rest if _recording(line) not in touched]
    return Merger(at, new, kept, touched)


def _recording(line: bytes) -> str | None:
    return (parse(line) or {}).get("recording")


def adopt(scribe: Scribe, signer: Signer, first: int, fetched: Sequence[bytes], server_note: str) -> int:
    """Take lines back that the server sent from index `first` on, up to its cosigned note; how many we did not have.

    Lines behind them get new indices: `on_durable` hears of everything from the first one that changed. Contradiction when
    they exclude ours, and nothing was changed.
    """
    with scribe.lock:
        journal = scribe.journal
        ours = journal.lines(first, journal.size)
        _check(journal, signer, first, fetched, server_note)
        merger = reconcile(first, ours, fetched, journal.cosigned_size)
        if merger is None:
            journal.keep_cosigned(server_note)
            return 0
        story = _story_at(journal, merger)
        own = [*_closings(scribe, merger, story), *merger.kept]
        splice.perform(journal, journal.files, splice.Splice(merger.at, merger.fetched, own, server_note))
        if scribe.on_durable is not None:
            scribe.on_durable(merger.at, journal.lines(merger.at, journal.size))
        return len(merger.fetched)


def _check(journal: Journal, signer: Signer, first: int, fetched: Sequence[bytes], server_note: str) -> None:
    """Whether the lines give the root of a checkpoint that our own key signed."""
    try:
        body, _ = note.open_note(server_note, [verifier(journal.origin, signer)])
        head = note.parse_checkpoint(body)
    except NoteError as error:
        raise Contradiction(f"the server's checkpoint is not one of ours: {error}") from error
    tree = journal.range_at(first)
    for line in fetched:
        tree.append(merkle.leaf_hash(line))
    if head.origin != journal.origin or head.size != tree.size or head.root != tree.root():
        raise Contradiction(f"the fetched lines {first} to {tree.size} do not give the root of the server's {head.size} lines")


def _story_at(journal: Journal, merger: Merger) -> Story:
    """The story up to and with the fetched lines."""
    story = journal.story_at(merger.at)
    for line in merger.fetched:
        story.add(story.size, line)
    return story


def _closings(scribe: Scribe, merger: Merger, story: Story) -> list[bytes]:
    """What the recordings in the fetched lines still need: gaps for bytes that are gone, and a `stop` where it is missing."""
    media = scribe.media
    gone = _gone(scribe.journal.files, media, aside.Aside(scribe.journal.folder, scribe.journal.files), merger.fetched)
    salvaged = salvage.Salvaged(missing=gone)

    def write() -> None:
        for recording in merger.touched:
            if recording in scribe.draft.open:
                recovery.close(scribe, recording, salvaged)
            else:
                for gap in gone:
                    if gap.recording == recording:
                        recovery.write_gap(scribe, gap)

    return scribe.rehearse(story, write)


def _gone(files: Files, media: MediaFiles, shelf: aside.Aside, fetched: Sequence[bytes]) -> list[salvage.Gap]:
    """A gap for each fetched fragment whose bytes can't be had, and that no fetched gap is for."""
    there = [members for line in fetched if (members := parse(line)) is not None]
    purged = {members["recording"] for members in there if members["kind"] == "purge"}
    media_of = {(m["recording"], m["track"]): m["media"] for m in there if m["kind"] == "track"}
    known = {salvage.Gap(m["recording"], m["track"], m["from"], m["lost"], m["reason"]) for m in there if m["kind"] == "gap"}
    gone = []
    for members in there:
        if members["kind"] != "fragment" or members["recording"] in purged:
            continue
        extension = EXTENSIONS.get(media_of.get((members["recording"], members["track"]), "video/mp4"), "mp4")
        path = media.path(members["recording"], members["track"], extension)
        if not salvage.held(media, members) and not _put_back(files, shelf, path, members["offset"], members["bytes"], members["sha256"]):
            gap = salvage.Gap(members["recording"], members["track"], members["pts"], members["duration"], "storage")
            gone += [] if gap in known else [gap]
    return gone


def _put_back(files: Files, shelf: aside.Aside, path: Path, offset: int, size: int, sha256: str) -> bool:
    """Append a fragment's bytes to its track again, if recovery set them aside and the track ends just before them."""
    with disk("put back into", path):
        files.make_folder(path.parent)
        there = files.size(path) if path.name in files.list(path.parent) else 0
        if there != offset:
            return False
        data = _from_pieces(files, shelf.pieces(aside.media_name(path.parent.name, path.name)), offset, size)
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            return False
        files.append(path, data)
        files.sync(path)
        files.sync_folder(path.parent)
        return True


def _from_pieces(files: Files, pieces: dict[int, Path], offset: int, size: int) -> bytes:
    """Bytes [offset, offset + size) of a file out of the pieces that were set aside; fewer where they are not all there."""
    data = b""
    for begin, piece in sorted(pieces.items()):
        at = offset + len(data)
        if begin <= at < begin + files.size(piece):
            data += files.read(piece, at - begin, size - len(data))
    return data


def next_journal(
    folder: Path, origin: str, signer: Signer, files: Files, media: MediaFiles
) -> tuple[recovery.Recovered, list[tuple[str, Any]]]:
    """Journal n+1 beside journal n in `folder`, and the `previous` member of its `enrol` line, which is line 0; `announce` follows.

    `origin` is that of journal n. The end named as `previous` is its newest signed head, whether its lines can be read or not.
    """
    domain, device, n = wire.parse_origin(origin)
    newest = heads.open_checkpoints(folder, origin, signer, files).newest
    kept = read_cosigned(files, folder, verifier(origin, signer))
    ends = [(head.size, head.root) for head in (newest, kept[1] if kept else None) if head is not None]
    size, root = max(ends, default=(0, merkle.EMPTY_ROOT))
    previous = [("origin", origin), ("size", size), ("root", root.hex())]
    following = recovery.recover(folder.parent / str(n + 1), wire.origin(domain, device, n + 1), signer, files, media)
    return following, previous

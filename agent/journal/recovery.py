"""After every start, before anything else is believed: what on the disk counts, what is set aside, what must be said.

Rules (docs/evidence-format.md, section 4):
- What a killed process left unsynced is made durable first (`settle`): nothing else may be believed.
- The root at the newest stored checkpoint must be the root of the lines. If not, the journal goes on from the newest cosigned
  size, with a `tamper` line that holds the abandoned checkpoint.
- Behind the newest checkpoint at most one batch of whole lines is adopted as it stands. A torn tail is cut off and kept aside.
- A checkpoint file that is shorter than what was cosigned was cut by somebody: it was durable before the server saw it. Alarm.
- An unfinished recording gets its `gap` and its `stop`; fragments without lines, lines without fragments: see `salvage`.
- `boot` is the first line after every start. `agent.journal.adopt` relies on that: what a start wrote and could not yet
  publish begins with it.

`decide` says from what was read what is to be done; `recover` reads and does it; `announce` puts it on record. A power cut
anywhere in between loses nothing of it: each step can be done again, and `aside.Findings` keeps the counts meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core import kinds, wire
from agent.core.errors import LineError
from agent.journal import aside, heads, salvage, segments, settle, splice
from agent.journal.errors import Damaged, Lost, disk
from agent.journal.journal import MAX_APPEND_BYTES, Journal
from agent.journal.media import MediaFiles
from agent.journal.scribe import Scribe
from agent.journal.story import Story
from hal.contracts import Files, Signer

ALARMS = ("root-mismatch", "lines-without-checkpoint", "checkpoints-missing")
"""What a `tamper` line can say after a start; the gravest first."""

# --------------------------------------------------------------------------- the decision


@dataclass(frozen=True, slots=True)
class Plan:
    """The journal goes on from `base` lines and `adopt` more behind them; `tampered` says why that is an alarm, or is empty."""

    base: int
    adopt: int
    tampered: str = ""


def decide(found: heads.Heads, behind: Sequence[bytes]) -> Plan:
    """What counts. `behind`: whole lines behind `found.candidate`. Raises Lost when nothing signed fits."""
    base = found.candidate
    if base is None:
        raise Lost(f"none of the checkpoints fits the {found.lines} lines that are there; keep this journal and begin the next one")
    if not found.newest_fits:
        return Plan(base, 0, "root-mismatch")
    adopt = adoptable(behind)
    if base == 0 and len(behind) > adopt and found.newest is None:
        raise Lost(f"{found.lines} lines and no checkpoint over them; keep this journal and begin the next one")
    if adopt == wire.MAX_BATCH_LINES and len(behind) > adopt:
        return Plan(base, adopt, "lines-without-checkpoint")
    return Plan(base, adopt, "checkpoints-missing" if found.cut_short else "")


def adoptable(behind: Sequence[bytes]) -> int:
    """How many lines behind the newest checkpoint are adopted: one batch at most, and only lines that have meaning."""
    count, total = 0, 0
    for line in behind[: wire.MAX_BATCH_LINES]:
        total += len(line) + 1
        try:
            kinds.meaning(line)
        except LineError:
            break
        if total > MAX_APPEND_BYTES:
            break
        count += 1
    return count


# --------------------------------------------------------------------------- carrying it out


@dataclass(slots=True)
class Recovered:
    """A journal that can be written, and what `announce` has to say first. `unfinished` recordings were open."""

    journal: Journal
    lost: dict[str, Any]
    clean: bool
    tampered: str
    abandoned: str | None
    unfinished: list[str]
    salvaged: salvage.Salvaged = field(default_factory=salvage.Salvaged)


def recover(folder: Path, origin: str, signer: Signer, files: Files, media: MediaFiles) -> Recovered:
    """The journal in `folder` as section 4 says; a new, empty one where there is none.

    Raises Lost when only journal n+1 can go on, a `Storage` error when the disk refuses.
    """
    with disk("recover", folder):
        files.make_folder(folder)
        settle.journal(files, folder)
        _finish_splice(folder, origin, signer, files)
        findings = aside.Findings.load(files, folder)
        shelf = aside.Aside(folder, files)
        found = heads.read(folder, origin, signer, files)
        behind = heads.lines_behind(folder, files, found.candidate or 0)
        plan = decide(found, behind)
        end = plan.base + plan.adopt
        if plan.adopt:
            findings.note("adopted", str(plan.base), plan.adopt)
        if plan.tampered:
            newest = found.checkpoints.newest
            findings.abandoned = newest.text if newest and newest.size > plan.base else findings.abandoned or ""
            findings.note(plan.tampered, str(plan.base), 1)
        _set_aside(folder, files, shelf, found, end, plan.base, findings)
        findings.save(files, folder)
        _cut(folder, files, found, end, plan.base)
        if found.mend is not None:
            segments.write_begin(files, folder, *segments.begin_of(files, folder, found.mend, trust=False))
        journal = Journal(folder, origin, signer, files, seal=True)
        story = journal.story
        salvaged = _salvage(journal, media, files, shelf, findings, story)
        findings.save(files, folder)
        return _recovered(journal, found, findings, salvaged)


def _finish_splice(folder: Path, origin: str, signer: Signer, files: Files) -> None:
    waiting = splice.noted(files, folder)
    if waiting is not None:
        segments.cut(files, folder, waiting.at)
        heads.open_checkpoints(folder, origin, signer, files).forget_above(waiting.at)
        splice.carry_out(Journal(folder, origin, signer, files, seal=True), files, waiting)


def _set_aside(folder: Path, files: Files, shelf: aside.Aside, found: heads.Heads, end: int, base: int, findings: aside.Findings) -> None:
    """Keep what is going to be cut from the line files and the checkpoint file; note how much it is."""
    for first in segments.firsts(files, folder):
        if first < segments.first_of(max(end - 1, 0)):  # the one that is full at `end` may have a tail as well
            continue
        segment = segments.read(files, folder, first)
        begin = max(end - first, 0)
        at = segment.starts[begin] if begin < len(segment.starts) else segment.whole
        data = segment.data[at:]
        if data:
            place = f"{first + begin}-{aside.digest(data)}"
            shelf.keep(f"lines-{first + begin}", data)
            findings.note("lines", place, max(len(segment.starts) - begin, 0))
            findings.note("journal", place, len(segment.torn))
    path = found.checkpoints.path
    last = found.checkpoints.at_most(base)
    at = last.end if last else 0
    data = files.read(path, at) if path.name in files.list(folder) else b""
    if data:
        shelf.keep(f"checkpoints-{at}", data)
        findings.note("checkpoints", f"{at}-{aside.digest(data)}", len(data))


def _cut(folder: Path, files: Files, found: heads.Heads, end: int, base: int) -> None:
    """Lines first: while the checkpoint over more lines is there, a recovery that is cut off here decides the same again."""
    if found.lines > end or found.torn:
        segments.cut(files, folder, end)
    newest = found.checkpoints.newest
    if found.checkpoints.torn or (newest is not None and newest.size > base):
        found.checkpoints.forget_above(base)


def _salvage(
    journal: Journal, media: MediaFiles, files: Files, shelf: aside.Aside, findings: aside.Findings, story: Story
) -> salvage.Salvaged:
    """Look through the media: fragments without lines, lines without fragments, bytes and files that nothing names."""
    salvaged = salvage.Salvaged()
    _move_unknown(media, files, shelf, findings, story, _elsewhere(journal.folder, files))
    for recording, found in story.open.items():
        for name, track in found.tracks.items():
            members = salvage.without_line(media, recording, name, track)
            salvaged.recovered.setdefault(recording, []).extend((name, one) for one in members)
            end = track.end + sum(dict(one)["bytes"] for one in members)
            _cut_tail(media, files, shelf, findings, recording, name, end)
            if (path := media.found(recording, name)) is not None:
                settle.track(files, path)
    salvaged.missing = salvage.missing(journal, media, story)
    return salvaged


def _cut_tail(media: MediaFiles, files: Files, shelf: aside.Aside, findings: aside.Findings, recording: str, track: str, end: int) -> None:
    path = media.found(recording, track)
    size = media.size(recording, track)
    if path is None or size <= end:
        return
    if shelf.keep_tail(aside.media_name(recording, path.name), path, end):
        findings.note("media", f"{recording}/{path.name}:{end}:{size}", size - end)
        findings.save(files, shelf.folder.parent)
        media.cut(recording, track, end)


def _elsewhere(folder: Path, files: Files) -> set[str]:
    """Recordings of the device's other journals: their media stay where they are."""
    known: set[str] = set()
    for name in files.list(folder.parent):
        if name.isdecimal() and name != folder.name and (found := segments.firsts(files, folder.parent / name)):
            try:
                _, story = segments.begin_of(files, folder.parent / name, found[-1])
            except Damaged:
                continue
            for index, line in enumerate(segments.read(files, folder.parent / name, found[-1]).lines(), found[-1]):
                story.add(index, line)
            known |= story.known.keys()
    return known


def _move_unknown(media: MediaFiles, files: Files, shelf: aside.Aside, findings: aside.Findings, story: Story, elsewhere: set[str]) -> None:
    """Finish deletions that are on record, and move away files that no line of this device knows."""
    for recording in media.recordings():
        if recording in elsewhere and recording not in story.known:
            continue
        if recording in story.purged:
            media.delete(recording)
            continue
        found = story.open.get(recording)
        if recording in story.known and found is None:
            continue  # stopped: every byte has its line
        for name in media.names(recording):
            if found is None or name.rpartition(".")[0] not in found.tracks:
                path = media.folder / recording / name
                findings.note("media", f"{recording}/{name}:0", files.size(path))
                findings.save(files, shelf.folder.parent)
                shelf.move(aside.media_name(recording, name), path)


def _recovered(journal: Journal, found: heads.Heads, findings: aside.Findings, salvaged: salvage.Salvaged) -> Recovered:
    story = journal.story
    lost: dict[str, Any] = {kind: total for kind in ("lines", "journal", "checkpoints", "media") if (total := findings.total(kind))}
    if adopted := [int(place.partition("@")[2]) for place in findings.items if place.startswith("adopted@")]:
        lost["adopted"] = {"first": min(adopted), "count": findings.total("adopted")}
    if found.cosigned is not None and found.cosigned > journal.size:
        lost["cosigned"] = found.cosigned
    counts = {"recovered": salvaged.count, "missing": len(salvaged.missing), "unfinished": len(story.open)}
    lost |= {name: count for name, count in counts.items() if count}
    tampered = next((kind for kind in ALARMS if findings.total(kind)), "")
    return Recovered(
        journal, lost, (story.clean or journal.size == 0) and not lost, tampered, findings.abandoned, list(story.open), salvaged
    )


# --------------------------------------------------------------------------- putting it on record


def announce(scribe: Scribe, recovered: Recovered, software: str, hardware: str) -> None:
    """Write the `boot` line and everything that recovery has to say, in one batch."""
    with scribe.batch():
        scribe.boot(software, hardware, lost=recovered.lost, clean=recovered.clean)
        for recording in recovered.unfinished:
            close(scribe, recording, recovered.salvaged)
        for gap in recovered.salvaged.missing:
            if gap.recording not in recovered.unfinished:
                write_gap(scribe, gap)
        if recovered.tampered:
            scribe.event("tamper", recovered.tampered, size=recovered.journal.size, checkpoint=recovered.abandoned or "")
        scribe.afterwards(lambda: aside.forget_findings(scribe.journal.files, scribe.journal.folder))


def close(scribe: Scribe, recording: str, salvaged: salvage.Salvaged) -> None:
    """The lines that an unfinished recording still needs: what was found, what is gone, and its `stop`."""
    for track, members in salvaged.recovered.get(recording, ()):
        scribe.recovered(recording, track, members)
    for gap in salvaged.missing:
        if gap.recording == recording:
            write_gap(scribe, gap)
    for gap in salvage.power_gaps(recording, scribe.draft.open[recording]):
        write_gap(scribe, gap)
    scribe.stop(recording, "power")


def write_gap(scribe: Scribe, gap: salvage.Gap) -> None:
    """One gap line."""
    scribe.gap(gap.recording, gap.track, gap.from_ms, gap.lost_ms, gap.reason)

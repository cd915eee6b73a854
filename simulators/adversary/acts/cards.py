"""What is done to a device folder, judged as it then lies there. Where the row says so, with the device's real key."""

from __future__ import annotations

import json
import shutil
from typing import Any

from agent.core import lines as core_lines
from agent.core import merkle, note
from simulators.adversary import forged
from simulators.adversary.card import CardForger
from simulators.adversary.forged import Stranger
from simulators.adversary.genuine import MAIN, OTHER
from simulators.adversary.office import DOMAIN
from simulators.adversary.table import CARD, Rows

act = Rows(CARD, MAIN)
TAMPERED, INCOMPLETE, UNTRUSTED, INTACT = "tampered", "incomplete", "untrusted", "intact"
CHANGED = "the lines do not lead to the root that the device signed: one of the lines"
NOT_COSIGNED = "journal/1/cosigned: the lines do not lead to the cosigned root"
THE_FRAGMENT = "recording {recording} of evidence.example.gov/DSJ-0012345/1, front fragment {seq}: "


# --------------------------------------------------------------------------- in a card reader, without a key


def _flipped(f: CardForger, name: str) -> dict[str, Any]:
    """A bit of a fragment of a recording's picture."""
    recording = f.material.recordings[name]
    rows = [json.loads(f.lines[i]) for i in f.of_recording(name)]
    row = f.chance.choice([m for m in rows if m["kind"] == "fragment" and m["track"] == "front"])
    data = bytearray(f.media(name).read_bytes())
    data[row["offset"] + f.chance.randrange(row["bytes"])] ^= 1
    f.media(name).write_bytes(data)
    return {"recording": recording, "seq": row["seq"]}


@act("card edited in a reader between two starts: journal", TAMPERED, CHANGED)
def a_line_edited(f: CardForger) -> None:
    """Another trigger in a start line."""
    f.write_lines(f.change(f.of_recording("whole")[0], lambda line: line.replace(b'"trigger":"button"', b'"trigger":"remote"')))


@act("bytes flipped in journal", TAMPERED, "one of the lines {first} to {last} is not what it was")
def a_bit_of_the_journal(f: CardForger) -> dict[str, Any]:
    """One bit of a line: named between two checkpoints."""
    at = f.chance.randrange(1, len(f.lines))
    line = bytearray(f.lines[at])
    line[f.chance.randrange(12, len(line))] ^= 1
    if b"\n" in line:
        line[line.index(b"\n")] ^= 3
    f.write_lines([*f.lines[:at], bytes(line), *f.lines[at + 1 :]])
    sizes = [note.parse_checkpoint(note.split(text)[0]).size for text in f.notes()]
    return {"first": max((s for s in sizes if s <= at), default=0), "last": min(s for s in sizes if s > at) - 1}


@act("card edited in a reader between two starts: media", TAMPERED, THE_FRAGMENT)
def a_picture_edited(f: CardForger) -> dict[str, Any]:
    """A bit of a stored recording's picture."""
    return _flipped(f, "whole")


@act("card edited in a reader between two starts: media", TAMPERED, THE_FRAGMENT)
def a_picture_that_only_the_card_has_edited(f: CardForger) -> dict[str, Any]:
    """A bit of the recording that nobody has seen yet: its lines are signed all the same."""
    return _flipped(f, "unseen")


@act("card edited in a reader between two starts: both", TAMPERED, CHANGED)
def picture_and_line_edited(f: CardForger) -> None:
    """A picture, and the digest in its line so that they fit to each other."""
    _both(f, "whole")


def _both(f: CardForger, name: str) -> list[bytes]:
    """Replace the last fragment's bytes by noise of the same length, and its digest."""
    index = [i for i in f.of_recording(name) if b'"kind":"fragment"' in f.lines[i] and b'"track":"front"' in f.lines[i]][-1]
    row = json.loads(f.lines[index])
    data = f.media(name).read_bytes()
    noise = f.chance.randbytes(row["bytes"])
    f.media(name).write_bytes(data[: row["offset"]] + noise + data[row["offset"] + row["bytes"] :])
    digest = forged.digest(noise)
    lines = f.change(index, lambda line: line.replace(row["sha256"].encode(), digest.encode()))
    f.write_lines(lines)
    return lines


@act("card edited in a reader between two starts: checkpoint file removed", TAMPERED, "the device's own checkpoint of them is not here")
def the_checkpoint_file_removed(f: CardForger) -> None:
    """So that nothing that the device signed contradicts what comes next."""
    (f.journal / "checkpoints").unlink()


@act("card edited in a reader between two starts: checkpoint file removed", TAMPERED, "the device's own checkpoint of them is not here")
def the_checkpoint_file_cut_short(f: CardForger) -> None:
    """The first few are left."""
    f.write_notes(f.notes()[: f.chance.randrange(1, 6)])


@act("positions replaced", TAMPERED, CHANGED)
def he_was_somewhere_else(f: CardForger) -> None:
    """Every position is moved."""
    f.write_lines(forged.moved((f.journal / "segment-000000000000.jsonl").read_bytes()).split(b"\n")[:-1])


@act("tail cut off", INCOMPLETE, "of them are not there")
def the_newest_lines_cut_off(f: CardForger) -> None:
    """The recording that only the card has was never made."""
    f.write_lines(f.lines[: f.of_recording("unseen")[0]])


@act("the stop line removed", TAMPERED, CHANGED)
def a_stop_taken_out(f: CardForger) -> None:
    """The line goes, and all behind it move up."""
    stop = next(i for i in f.of_recording("whole") if b'"kind":"stop"' in f.lines[i])
    f.write_lines([line for i, line in enumerate(f.lines) if i != stop])


@act("a whole recording removed from a device's history", INCOMPLETE, "recording {recording} of ")
def its_media_deleted(f: CardForger) -> dict[str, Any]:
    """The folder goes; the lines know."""
    shutil.rmtree(f.media("whole").parent)
    return {"recording": f.material.recordings["whole"]}


@act("a whole recording removed from a device's history", TAMPERED, CHANGED)
def its_lines_and_media_deleted(f: CardForger) -> None:
    """Every line and every byte of it goes."""
    mine = set(f.of_recording("whole"))
    f.write_lines([line for i, line in enumerate(f.lines) if i not in mine])
    shutil.rmtree(f.media("whole").parent)


@act("another genuine recording of the same device put in its place", TAMPERED, "recording {recording} of ")
def another_recordings_picture(f: CardForger) -> dict[str, Any]:
    """The file of another recording under this one's name."""
    shutil.copy(f.media("cut"), f.media("whole"))
    return {"recording": f.material.recordings["whole"]}


@act("a recording of another device under this name", TAMPERED, "journal/1: holds the journal")
def another_devices_journal(f: CardForger) -> None:
    """Journal and media of another device, in this one's folder."""
    other = f.material.card(OTHER)
    for name in ("journal", "media", "receipts"):
        shutil.rmtree(f.folder / name)
        shutil.copytree(other / name, f.folder / name)


@act("two halves spliced", TAMPERED, CHANGED)
def two_journals_in_one(f: CardForger) -> None:
    """The first half of this journal, the second of another device's."""
    other = CardForger(f.material.card(OTHER), f.material, OTHER, f.chance)
    half = min(len(f.lines), len(other.lines)) // 2
    f.write_lines([*f.lines[:half], *other.lines[half:]])


@act("a card rolled back to an older copy", TAMPERED, "a receipt for a recording that no journal here has")
def rolled_back_but_for_the_receipts(f: CardForger) -> None:
    """Journal and media of an older copy; what the server has proved since is still there."""
    older = f.material.card("older")
    for name in ("journal", "media"):
        shutil.rmtree(f.folder / name)
        shutil.copytree(older / name, f.folder / name)


@act("a card rolled back to an older copy", INCOMPLETE, "line {size}: ")
def rolled_back_whole(f: CardForger) -> dict[str, Any]:
    """Everything is an older copy, and fits together. Who has the server's newest checkpoint sees it."""
    shutil.rmtree(f.folder)
    shutil.copytree(f.material.card("older"), f.folder)
    f.checkpoints.append(f.material.heard["the newest"])
    return {"size": len(f.lines)}


@act("a card rolled back to an older copy", INTACT, "no checkpoint from elsewhere was given")
def rolled_back_whole_and_nobody_knows_better(f: CardForger) -> None:
    """The same without that checkpoint: from the card alone nobody can tell, and the report says so."""
    shutil.rmtree(f.folder)
    shutil.copytree(f.material.card("older"), f.folder)


# --------------------------------------------------------------------------- signatures of others


@act("cosignature from a stranger", UNTRUSTED, "journal/1/cosigned: no given witness key cosigned it")
def a_strangers_cosignature(f: CardForger) -> None:
    """Somebody else's key under the witness's name."""
    text = Stranger(f"{DOMAIN}/witness", note.COSIGNATURE).cosigned(f.notes()[-1], 1_763_712_900)
    (f.journal / "cosigned").write_text(text, encoding="utf-8")


@act("checkpoint of another size", TAMPERED, "does not hold")
def a_cosignature_under_a_larger_checkpoint(f: CardForger) -> None:
    """The witness's line of a smaller checkpoint, put under the newest: everything would be covered."""
    witness = f.cosigned.splitlines(keepends=True)[-1]
    (f.journal / "cosigned").write_text(f.notes()[-1] + witness, encoding="utf-8")


@act("checkpoint of another size", TAMPERED, "out of order")
def checkpoints_in_another_order(f: CardForger) -> None:
    """Two of the device's own checkpoints change places."""
    notes = f.notes()
    at = f.chance.randrange(len(notes) - 1)
    notes[at], notes[at + 1] = notes[at + 1], notes[at]
    f.write_notes(notes)


@act("bytes flipped in proof", TAMPERED, "receipts/")
def a_receipt_altered(f: CardForger) -> None:
    """A letter of a hash in a receipt."""
    text = f.receipt("whole").read_text(encoding="utf-8").split("\n")
    at = next(i for i, row in enumerate(text) if len(row) == 44 and " " not in row)
    text[at] = note.base64(bytes(b ^ 1 for b in note.unbase64(text[at], 32)))
    f.receipt("whole").write_text("\n".join(text), encoding="utf-8")


# --------------------------------------------------------------------------- with the device's real key

FORK = "journal rewritten and re-signed with the device's real key after it was cosigned"


def _other_trigger(f: CardForger) -> list[bytes]:
    return f.change(f.of_recording("whole")[0], lambda line: line.replace(b'"trigger":"button"', b'"trigger":"remote"'))


@act(FORK, TAMPERED, NOT_COSIGNED, key=True)
def another_history(f: CardForger) -> None:
    """Signed anew from the first line; the cosigned note remembers."""
    f.sign_anew(_other_trigger(f))


@act(FORK, TAMPERED, "size {size}: the first {size} lines are not those of", key=True)
def another_history_without_the_cosigned_note(f: CardForger) -> dict[str, Any]:
    """The cosigned note goes too; who has the server's newest checkpoint sees it."""
    f.sign_anew(_other_trigger(f))
    (f.journal / "cosigned").unlink()
    shutil.rmtree(f.folder / "receipts")
    f.checkpoints.append(f.material.heard["the newest"])
    return {"size": note.parse_checkpoint(note.split(f.material.heard["the newest"])[0]).size}


@act(FORK, UNTRUSTED, "nothing of this journal is cosigned", key=True)
def another_history_that_nobody_cosigned(f: CardForger) -> None:
    """The same, and the auditor has nothing from elsewhere: only who holds the device vouches for it."""
    f.sign_anew(_other_trigger(f))
    (f.journal / "cosigned").unlink()
    shutil.rmtree(f.folder / "receipts")


@act("a whole recording removed from a device's history", TAMPERED, NOT_COSIGNED, key=True)
def a_recording_removed_and_signed_anew(f: CardForger) -> None:
    """Its lines, its bytes and its receipt go, and the rest is signed anew. Later lines fill the size that was cosigned."""
    mine = set(f.of_recording("whole"))
    kept = [line for i, line in enumerate(f.lines) if i not in mine]
    while len(kept) < f.cosigned_size:
        kept.append(core_lines.build("power", 1, len(kept), "A" * 22, [("event", "charging")]))
    f.sign_anew(kept)
    shutil.rmtree(f.media("whole").parent)
    f.receipt("whole").unlink()


@act("the stop line removed", TAMPERED, NOT_COSIGNED, key=True)
def a_stop_taken_out_and_signed_anew(f: CardForger) -> None:
    """The line goes, and what is left is signed anew."""
    stop = next(i for i in f.of_recording("whole") if b'"kind":"stop"' in f.lines[i])
    f.sign_anew([line for i, line in enumerate(f.lines) if i != stop])


@act("card edited in a reader between two starts: both", INTACT, "{cosigned} lines cosigned", key=True)
def what_nobody_had_seen_rewritten(f: CardForger) -> dict[str, Any]:
    """In the unanchored window, with the key, everything can be written otherwise: the report says how many lines that are."""
    f.sign_anew(_both(f, "unseen"))
    return {"cosigned": f.cosigned_size}


@act("purge without receipt", INCOMPLETE, "was purged, and the receipt for it is not here", key=True)
def purged_without_a_receipt(f: CardForger) -> None:
    """The recording that only the card has is deleted, with a purge line that names a receipt that never was."""
    _purged(f, "unseen", "00" * 32)


@act("purge without receipt", TAMPERED, "was purged on another proof than the receipt that is here", key=True)
def purged_on_another_recordings_receipt(f: CardForger) -> None:
    """The purge line names the receipt of another recording."""
    extra = note.parse_tlog_proof(f.receipt("cut").read_text(encoding="utf-8")).extra
    assert extra is not None, "receipts hold their line"
    _purged(f, "whole", merkle.leaf_hash(extra).hex())


def _purged(f: CardForger, name: str, receipt: str) -> None:
    said = [("recording", f.material.recordings[name]), ("tracks", []), ("bytes", 1), ("reason", "space"), ("receipt", receipt)]
    line = core_lines.build("purge", f.material.ended_ms, 99_999, "A" * 22, said)
    lines = [*f.lines, line]
    f.write_lines(lines)
    f.write_notes([*f.notes(), f.signed(lines)])
    shutil.rmtree(f.media(name).parent)


# --------------------------------------------------------------------------- JSON that readers read differently


@act("duplicate JSON names", TAMPERED, CHANGED)
def an_officer_twice(f: CardForger) -> None:
    """Two officers in one line."""
    start = f.of_recording("whole")[0]
    f.write_lines(f.change(start, lambda line: line.replace(b'"officer":"110234"', b'"officer":"110234","officer":"9"')))


@act("floats", TAMPERED, CHANGED)
def a_time_with_a_point(f: CardForger) -> None:
    """The same number as a float."""
    start = f.of_recording("whole")[0]
    f.write_lines(f.change(start, lambda line: line.replace(b'"n":0,', b'"n":0.0,')))


@act("numbers beyond 2⁵³", TAMPERED, CHANGED)
def a_number_that_readers_round(f: CardForger) -> None:
    """Beyond 2⁵³."""
    start = f.of_recording("whole")[0]
    f.write_lines(f.change(start, lambda line: line.replace(b'"epoch":', b'"epoch":9007199254740993')))

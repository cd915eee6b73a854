"""What is done to the server's data folder, and what a device's key says to the server; judged by the audit of the store."""

from __future__ import annotations

import json
import shutil
from typing import Any

from agent.core import lines as core_lines
from agent.core import note
from simulators.adversary import forged
from simulators.adversary.forged import Stranger
from simulators.adversary.genuine import MAIN, NONSENSE, OLD, OTHER, Genuine
from simulators.adversary.office import DOMAIN
from simulators.adversary.table import STORE, Rows
from simulators.adversary.vault import VaultForger

act = Rows(STORE)
TAMPERED, INCOMPLETE, INTACT = "tampered", "incomplete", "intact"
JOURNAL = Genuine.origin()
LEDGER = f"{DOMAIN}/ledger"
OTHER_LINES = "size {size}: the lines do not lead to the checkpoint that is kept with them"
IN_JOURNAL, IN_LEDGER = f"{JOURNAL} {OTHER_LINES}", f"{LEDGER} line {{line}}: a ledger line without meaning"


# --------------------------------------------------------------------------- media


@act("bytes flipped in picture", TAMPERED, "recording {recording} of " + JOURNAL + ", front fragment {seq}: ")
def a_bit_of_a_stored_picture(v: VaultForger) -> dict[str, Any]:
    """One bit of a fragment that the server holds."""
    name = v.material.recordings["whole"]
    rows = [json.loads(line) for line in v.held() if name.encode() in line]
    row = v.chance.choice([m for m in rows if m["kind"] == "fragment" and m["track"] == "front"])
    data = bytearray(v.media("whole").read_bytes())
    data[row["offset"] + v.chance.randrange(row["bytes"])] ^= 1
    v.media("whole").write_bytes(data)
    return {"recording": name, "seq": row["seq"]}


@act("another genuine recording of the same device put in its place", TAMPERED, "recording {recording} of ")
def another_recordings_picture(v: VaultForger) -> dict[str, Any]:
    """The file of another recording."""
    shutil.copy(v.media("earlier"), v.media("whole"))
    return {"recording": v.material.recordings["whole"]}


@act("a recording of another device under this name", TAMPERED, "recording {recording} of ")
def another_devices_picture(v: VaultForger) -> dict[str, Any]:
    """The file of another device's recording."""
    shutil.copy(v.media("other", OTHER), v.media("whole"))
    return {"recording": v.material.recordings["whole"]}


@act("a whole recording removed from a device's history", INCOMPLETE, "recording {recording} of ")
def its_media_deleted(v: VaultForger) -> dict[str, Any]:
    """The folder goes; the ledger says that all of it was stored."""
    shutil.rmtree(v.media("whole").parent)
    return {"recording": v.material.recordings["whole"]}


# --------------------------------------------------------------------------- journals


@act("bytes flipped in journal", TAMPERED, IN_JOURNAL)
def another_trigger(v: VaultForger) -> dict[str, Any]:
    """A start line says something else."""
    words = ('"kind":"start"', v.material.recordings["whole"])
    return v.change(JOURNAL, words, lambda line: line.replace(b'"trigger":"button"', b'"trigger":"remote"'))


@act("positions replaced", TAMPERED, IN_JOURNAL)
def he_was_somewhere_else(v: VaultForger) -> dict[str, Any]:
    """The positions of a batch are moved."""
    first, lines, _ = v.batch_with(JOURNAL, '"kind":"fix"', v.material.recordings["whole"])
    v.write(JOURNAL, first, [forged.moved(line) for line in lines])
    return {"size": first + len(lines)}


@act("the stop line removed", TAMPERED, JOURNAL)
def a_stop_taken_out(v: VaultForger) -> None:
    """The line goes out of its batch."""
    first, lines, _ = v.batch_with(JOURNAL, '"kind":"stop"', v.material.recordings["whole"])
    v.write(JOURNAL, first, [line for line in lines if b'"kind":"stop"' not in line])


@act("a whole recording removed from a device's history", TAMPERED, JOURNAL)
def its_lines_taken_out(v: VaultForger) -> None:
    """Every line of it goes out of its batch, and its media."""
    name = v.material.recordings["whole"].encode()
    for first, lines, _ in v.batches(JOURNAL):
        if any(name in line for line in lines):
            v.write(JOURNAL, first, [line for line in lines if name not in line] or [b"{}"])
    shutil.rmtree(v.media("whole").parent)


@act("tail cut off", INCOMPLETE, "anchors it, and these lines are not here")
def the_newest_batches_removed(v: VaultForger) -> None:
    """From the recording on nothing was ever admitted."""
    first, _, _ = v.batch_with(JOURNAL, '"kind":"start"', v.material.recordings["whole"])
    v.cut(JOURNAL, first)


@act("two halves spliced", TAMPERED, JOURNAL)
def another_devices_batches_behind_ours(v: VaultForger) -> None:
    """From some line on it is another device's journal."""
    theirs = v.batches(v.material.origin(OTHER))
    first, _, _ = v.batches(JOURNAL)[1]
    v.write(JOURNAL, first, theirs[1][1], theirs[1][2])


@act("a recording of another device under this name", TAMPERED, JOURNAL)
def another_devices_journal(v: VaultForger) -> None:
    """All batches of another device under this one's name."""
    mine, theirs = v.log(JOURNAL), v.log(v.material.origin(OTHER))
    v.sql("UPDATE log SET origin = 'x' WHERE id = ?", mine)
    v.sql("UPDATE log SET origin = ? WHERE id = ?", JOURNAL, theirs)
    v.sql("UPDATE log SET origin = ? WHERE id = ?", v.material.origin(OTHER), mine)


# --------------------------------------------------------------------------- signatures


def _last(v: VaultForger) -> tuple[int, list[bytes], str]:
    return v.batches(JOURNAL)[-1]


@act("cosignature from a stranger", INCOMPLETE, "no given witness key cosigned it")
def a_strangers_cosignature(v: VaultForger) -> None:
    """Somebody else's key under the witness's name."""
    first, lines, text = _last(v)
    own = "".join(text.splitlines(keepends=True)[:-1])
    v.write(JOURNAL, first, lines, Stranger(f"{DOMAIN}/witness", note.COSIGNATURE).cosigned(own, 1_763_712_900))


@act("cosignature from a stranger", TAMPERED, "not by the enrolled key")
def a_strangers_checkpoint(v: VaultForger) -> None:
    """Somebody else's key under the device's name signs the true root."""
    first, lines, text = _last(v)
    body, witness = note.split(text)[0], text.splitlines(keepends=True)[-1]
    v.write(JOURNAL, first, lines, Stranger(JOURNAL).signed(body) + witness)


@act("checkpoint of another size", TAMPERED, IN_JOURNAL)
def the_checkpoint_of_another_batch(v: VaultForger) -> dict[str, Any]:
    """A true, cosigned checkpoint of the same journal, kept with other lines."""
    (_, _, older), (first, lines, _) = v.batches(JOURNAL)[-2:]
    v.write(JOURNAL, first, lines, older)
    return {"size": first + len(lines)}


@act("certificate revoked", INCOMPLETE, "no given witness key cosigned it", key=True)
def lines_of_a_revoked_device(v: VaultForger) -> None:
    """What the device recorded after its revocation is put into the table, well signed: the witness never cosigned it."""
    origin, held, whole = v.material.origin(OLD), v.held(OLD), v.journal(OLD)
    values = (v.log(origin), len(held), len(whole) - len(held), b"\n".join(whole[len(held) :]), v.signed(OLD, whole))
    v.sql("INSERT INTO batch (log, first, count, lines, note) VALUES (?, ?, ?, ?, ?)", *values)
    v.sql("UPDATE log SET size = ? WHERE origin = ?", len(whole), origin)


# --------------------------------------------------------------------------- the ledger


@act("ledger line removed", TAMPERED, LEDGER)
def a_ledger_line_taken_out(v: VaultForger) -> None:
    """The line that says that a recording was stored; nobody here has the ledger's key."""
    first, _, _ = v.batch_with(LEDGER, '"kind":"stored"', v.material.recordings["whole"])
    v.sql("DELETE FROM batch WHERE log = ? AND first = ?", v.log(LEDGER), first)


@act("ledger line removed", TAMPERED, "the ledger never enrolled this journal")
def the_ledgers_end_cut_off(v: VaultForger) -> None:
    """Everything from a line on goes, as if it had never been: journals that it enrolled since, and the devices' beacons, know better."""
    first, _, _ = v.batch_with(LEDGER, '"kind":"stored"', v.material.recordings["whole"])
    v.cut(LEDGER, first)


@act("ledger line removed", INCOMPLETE, LEDGER)
def the_ledgers_newest_line_cut_off(v: VaultForger) -> None:
    """Only the newest goes, which no beacon knows yet; who has a checkpoint of it sees that."""
    v.cut(LEDGER, v.batches(LEDGER)[-1][0])
    v.checkpoints.append(v.material.heard["the ledger"])


@act("a custody line left out of a package", TAMPERED, LEDGER)
def a_look_taken_out_of_the_ledger(v: VaultForger) -> None:
    """Nobody shall know that somebody looked: the line is gone before any package is made."""
    first, _, _ = v.batch_with(LEDGER, '"kind":"view"')
    v.sql("DELETE FROM batch WHERE log = ? AND first = ?", v.log(LEDGER), first)


@act("duplicate JSON names", TAMPERED, IN_LEDGER)
def a_ledger_line_that_says_two_things(v: VaultForger) -> dict[str, Any]:
    """Who looked: two names in one line."""
    return v.change(LEDGER, ('"kind":"view"',), lambda line: line.replace(b'"by":"console"', b'"by":"console","by":"x"'))


@act("floats", TAMPERED, IN_LEDGER)
def a_ledger_line_with_a_float(v: VaultForger) -> dict[str, Any]:
    """The same count as a float."""
    return v.change(LEDGER, ('"kind":"view"',), lambda line: line.replace(b'"c":2', b'"c":2.0'))


@act("numbers beyond 2⁵³", TAMPERED, IN_LEDGER)
def a_ledger_line_with_a_large_number(v: VaultForger) -> dict[str, Any]:
    """A time beyond what readers agree on."""
    return v.change(LEDGER, ('"kind":"view"',), lambda line: line.replace(b'"at":', b'"at":9007199254740993'))


# --------------------------------------------------------------------------- with a device's real key, to the running server


@act("journal rewritten and re-signed with the device's real key after it was cosigned", TAMPERED, "has signed two histories", key=True)
def another_history_offered(v: VaultForger) -> None:
    """The newest lines anew, of the very size that was cosigned: refused, kept, and named."""
    held = v.held()
    other = [*held[:-1], held[-1].replace(b'"up":', b'"up":1')]
    v.say(MAIN, len(held) - 1, other[-1:], v.signed(MAIN, other))


@act("purge without receipt", TAMPERED, "was purged on a receipt that the ledger never gave", key=True)
def purged_on_no_receipt(v: VaultForger) -> None:
    """The device says that it deleted a recording, on a proof that never was."""
    said = [("recording", v.material.recordings["whole"]), ("tracks", []), ("bytes", 1), ("reason", "space"), ("receipt", "00" * 32)]
    line = core_lines.build("purge", v.material.ended_ms, 99_999, "A" * 22, said)
    held = v.held()
    v.say(MAIN, len(held), [line], v.signed(MAIN, [*held, line]))


def _nonsense(v: VaultForger, name: str) -> dict[str, Any]:
    held = v.held()
    line = core_lines.build("mark", v.material.ended_ms, 99_999, "A" * 22, [("label", "x")])
    spoiled = line.replace(b'"label":"x"', b'"label":"x",' + NONSENSE[name].encode())
    v.say(MAIN, len(held), [spoiled], v.signed(MAIN, [*held, spoiled]))
    return {"line": len(held)}


MEANS_NOTHING = f"{JOURNAL} line {{line}}: a line without meaning"


@act("duplicate JSON names", INTACT, MEANS_NOTHING, key=True)
def a_label_twice_signed(v: VaultForger) -> dict[str, Any]:
    """Admitted as every line is; it belongs to nobody, and is reported."""
    return _nonsense(v, "twice")


@act("floats", INTACT, MEANS_NOTHING, key=True)
def a_float_signed(v: VaultForger) -> dict[str, Any]:
    """Likewise."""
    return _nonsense(v, "float")


@act("numbers beyond 2⁵³", INTACT, MEANS_NOTHING, key=True)
def a_large_number_signed(v: VaultForger) -> dict[str, Any]:
    """Likewise."""
    return _nonsense(v, "large")

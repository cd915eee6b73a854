"""What is done to the proofs of a package: signatures, cosignatures, the ledger's proofs, custody, certificates, claims."""

from __future__ import annotations

import json
from typing import Any

from agent.core import note
from server.evidence.gather import ranges_of
from simulators.adversary import forged
from simulators.adversary.bag import CERTIFICATE, CLAIMS, CUSTODY, ENROLMENT, FRONT, PROOF
from simulators.adversary.forged import Stranger
from simulators.adversary.hands import PackageForger
from simulators.adversary.office import DOMAIN
from simulators.adversary.table import PACKAGE, Rows

act = Rows(PACKAGE, "whole")
TAMPERED, INCOMPLETE, UNTRUSTED, INTACT = "tampered", "incomplete", "untrusted", "intact"
PROOFS = ("data/device.tlog-proof", "data/beacon.note", "data/beacon.tlog-proof", "data/anchor.proof", "data/anchor.tlog-proof")


# --------------------------------------------------------------------------- proofs


@act("bytes flipped in proof", TAMPERED, "do not lead to the root")
def a_bit_of_a_hash(f: PackageForger) -> None:
    """A hash of what is left out is another one."""
    rows = f.read(PROOF).decode().split("\n")
    hashed = [i for i, row in enumerate(rows) if len(row) == 44 and not row.startswith("range")]
    root = max(hashed)
    at = f.chance.choice([i for i in hashed if i != root])
    raw = bytearray(note.unbase64(rows[at], 32))
    raw[f.chance.randrange(32)] ^= 1
    f.write(PROOF, "\n".join([*rows[:at], note.base64(bytes(raw)), *rows[at + 1 :]]))


@act("bytes flipped in proof", TAMPERED, "{name}: ")
def a_byte_of_a_ledger_proof(f: PackageForger) -> dict[str, Any]:
    """A letter of a hash, of a root or of a line in one of the ledger's proofs."""
    name = f.chance.choice(PROOFS)
    text = f.read(name).decode()
    lines = text.split("\n")
    at = f.chance.choice([i for i, row in enumerate(lines) if len(row) == 44 and " " not in row])
    raw = bytearray(note.unbase64(lines[at], 32))
    raw[f.chance.randrange(32)] ^= 1
    lines[at] = note.base64(bytes(raw))
    f.write(name, "\n".join(lines))
    return {"name": name}


# --------------------------------------------------------------------------- signatures


@act("cosignature from a stranger", INCOMPLETE, "data/journal.proof: no given witness key cosigned the checkpoint")
def a_strangers_cosignature(f: PackageForger) -> None:
    """Somebody else's key under the witness's name takes the place of the witness's."""
    own = "".join(f.checkpoint.splitlines(keepends=True)[:-1])
    f.replace(PROOF, f.checkpoint, Stranger(f"{DOMAIN}/witness", note.COSIGNATURE).cosigned(own, 1_763_712_012))


@act("cosignature from a stranger", INCOMPLETE, "data/journal.proof: no given witness key cosigned the checkpoint")
def no_cosignature(f: PackageForger) -> None:
    """The witness's line goes."""
    f.replace(PROOF, f.checkpoint, "".join(f.checkpoint.splitlines(keepends=True)[:-1]))


@act("cosignature from a stranger", TAMPERED, "does not hold")
def an_older_cosignature(f: PackageForger) -> None:
    """The witness's line says another time: nobody but the witness can."""
    last = f.checkpoint.splitlines()[-1]
    word = last.split(" ")[2]
    raw = bytearray(note.unbase64(word))
    raw[10] ^= 1
    f.replace(PROOF, word, note.base64(bytes(raw)))


@act("cosignature from a stranger", TAMPERED, "data/journal.proof: the checkpoint is not signed by the device's key")
def a_strangers_checkpoint(f: PackageForger) -> None:
    """Somebody else's key signs the true root under the device's name."""
    body = note.split(f.checkpoint)[0]
    f.replace(PROOF, f.checkpoint, Stranger(f.material.origin()).signed(body))


@act("cosignature from a stranger", UNTRUSTED, "no given key vouches for the device's key")
def a_ledger_of_his_own(f: PackageForger) -> None:
    """Everything of the ledger's is signed by another ledger of the same name."""
    ledger = Stranger(f"{DOMAIN}/ledger")
    for name in [n for n in f.names() if n.endswith((".tlog-proof", ".note"))]:
        text = f.read(name).decode()
        at = text.index(f"{DOMAIN}/ledger")
        f.write(name, text[:at] + ledger.signed(note.split(text[at:])[0]))


@act("checkpoint of another size", TAMPERED, "data/journal.proof: ")
def the_checkpoint_of_another_package(f: PackageForger) -> None:
    """A true, cosigned checkpoint of the same journal, of another size."""
    other = f.genuine("cut").checkpoint
    assert other != f.checkpoint
    f.replace(PROOF, f.checkpoint, other)


@act("checkpoint of another size", INCOMPLETE, "data/journal.jsonl: the stop line is not there", of="cut")
def a_checkpoint_from_before_the_stop(f: PackageForger) -> None:
    """A true, cosigned, smaller checkpoint with all lines below it: what came after is simply not there yet."""
    older = f.material.heard["before the cut"]
    size = note.parse_checkpoint(note.split(older)[0]).size
    below = [i for i in f.indices if i < size]
    named = {json.loads(f.journal[i])["seq"] for i in below if b'"kind":"fragment"' in f.journal[i]}
    f.cut(FRONT, "front", [piece.seq for piece in f.pieces() if piece.seq not in named])
    f.show_only(below, size, older)
    f.forget("data/anchor.")


# --------------------------------------------------------------------------- the ledger's proofs


@act("ledger line removed", UNTRUSTED, "data/device.tlog-proof: no given key vouches for the device's key")
def the_enrolment_removed(f: PackageForger) -> None:
    """The ledger's line that says whose key it is."""
    f.remove(ENROLMENT)


@act("ledger line removed", INCOMPLETE, "data/beacon.note: ")
def the_beacon_removed(f: PackageForger) -> None:
    """The ledger's checkpoint that says how early it can have been."""
    f.remove("data/beacon.note")


@act("ledger line removed", INCOMPLETE, "data/anchor.tlog-proof: ")
def half_an_anchor_removed(f: PackageForger) -> None:
    """The ledger's line behind the anchor."""
    f.remove("data/anchor.tlog-proof")


@act("a recording of another device under this name", TAMPERED, "the ledger enrolled")
def another_devices_enrolment(f: PackageForger) -> None:
    """The ledger's line of another device."""
    f.write(ENROLMENT, f.genuine("other").read(ENROLMENT))


@act("clock set back before recording", TAMPERED, "data/beacon.note: not the checkpoint that the beacon line")
def an_older_beacon(f: PackageForger) -> None:
    """An earlier checkpoint of the ledger, so that it may have been earlier."""
    older = f.genuine("earlier")
    for name in ("data/beacon.note", "data/beacon.tlog-proof"):
        f.write(name, older.read(name))


# --------------------------------------------------------------------------- custody


def _custody(f: PackageForger) -> list[bytes]:
    return f.read(CUSTODY).splitlines(keepends=True)


@act("a custody line left out of a package", INCOMPLETE, "data/custody.jsonl line {line}: c {c} to {c} are not there")
def a_look_left_out(f: PackageForger) -> dict[str, Any]:
    """Nobody shall know that somebody looked."""
    rows = _custody(f)
    c = f.chance.randrange(len(rows) - 1)
    f.write(CUSTODY, b"".join(row for i, row in enumerate(rows) if i != c))
    f.remove(f"data/custody/{c}.tlog-proof")
    return {"line": c + 1, "c": c}


@act("a custody line left out of a package", INCOMPLETE, "data/custody.jsonl: ends with a line of kind")
def the_last_custody_line_left_out(f: PackageForger) -> None:
    """Nobody shall know that it went out."""
    rows = _custody(f)
    f.write(CUSTODY, b"".join(rows[:-1]))
    f.remove(f"data/custody/{len(rows) - 1}.tlog-proof")


@act("a custody line left out of a package", TAMPERED, "data/custody/{c}.tlog-proof: ")
def a_look_left_out_and_counted_anew(f: PackageForger) -> dict[str, Any]:
    """The line goes, and those behind it count one less."""
    rows = [json.loads(row) for row in _custody(f)]
    c = f.chance.randrange(len(rows) - 1)
    kept = [row for row in _custody(f) if json.loads(row)["c"] != c]
    counted = [row.replace(b'"c":%d' % (i + (i >= c)), b'"c":%d' % i) for i, row in enumerate(kept)]
    f.write(CUSTODY, b"".join(counted))
    for i in range(c, len(counted)):
        f.write(f"data/custody/{i}.tlog-proof", f.read(f"data/custody/{i + 1}.tlog-proof"))
    f.remove(f"data/custody/{len(counted)}.tlog-proof")
    return {"c": c}


# --------------------------------------------------------------------------- certificates


@act("bytes flipped in certificates", TAMPERED, "data/certificates/evidence.pem: not the certificate that was enrolled")
def a_letter_of_the_certificate(f: PackageForger) -> None:
    """One letter of the base64 in the middle."""
    rows = f.read(CERTIFICATE).split(b"\n")
    at = f.chance.randrange(1, len(rows) - 3)
    column = f.chance.randrange(len(rows[at]))
    letter = b"A" if rows[at][column : column + 1] != b"A" else b"B"
    rows[at] = rows[at][:column] + letter + rows[at][column + 1 :]
    f.write(CERTIFICATE, b"\n".join(rows))


@act("certificate for another device", TAMPERED, "data/certificates/evidence.pem: not the certificate that was enrolled")
def another_devices_certificate(f: PackageForger) -> None:
    """The genuine certificate of another device."""
    f.write(CERTIFICATE, f.genuine("other").read(CERTIFICATE))


@act("certificate expired", INTACT, "the certificate had run out")
def a_recording_made_with_an_expired_certificate(f: PackageForger) -> None:
    """A device whose certificate had run out long before recorded this: it is said, and the ledger's word for the key counts."""
    f.become("expired")


@act("certificate expired", TAMPERED, "data/certificates/evidence.pem: not the certificate that was enrolled", of="expired")
def an_expired_certificate_prolonged(f: PackageForger) -> None:
    """The same certificate for the same key with ten more years."""
    f.write(CERTIFICATE, forged.prolonged(f.read(CERTIFICATE)))


@act("certificate revoked", INCOMPLETE, "data/journal.proof: no given witness key cosigned the checkpoint", of="expired", key=True)
def recorded_after_the_revocation(f: PackageForger) -> None:
    """A recording that the revoked device made afterwards, well signed: the witness never cosigned it."""
    name = f.material.recordings["revoked"]
    mine = [i for i, line in enumerate(f.journal) if name.encode() in line]
    start = json.loads(f.journal[mine[0]])
    governing = forged.indices_of(f.journal, start["governing"])
    f.prove(f.journal, sorted({0, *governing, *mine}), len(f.journal), f.signed(list(f.journal)))
    media = f.material.card(f.device) / "media" / name
    f.write(FRONT, (media / "front.mp4").read_bytes())
    f.forget("data/anchor.", "data/beacon.", "data/custody")
    held = [list(r) for r in ranges_of(piece.seq for piece in f.pieces())]
    f.claim(lambda claims: claims.update(recording=name, tracks=[{"track": "front", "media": "video/mp4", "held": held}]))


# --------------------------------------------------------------------------- excerpt and whole


@act("excerpt passed off as whole", TAMPERED, "the ledger exported an excerpt from 1500 to 3000 ms", of="excerpt")
def an_excerpt_called_whole(f: PackageForger) -> None:
    """recording.json says that it is the whole."""
    f.claim(lambda claims: claims.update(part="whole"))


@act("excerpt passed off as whole", INCOMPLETE, "are missing before this one", of="excerpt")
def an_excerpt_with_the_wholes_custody(f: PackageForger) -> None:
    """He has been given the whole as well, and takes its custody: the ledger says that the whole went out."""
    whole = f.genuine("whole")
    for name in [n for n in f.names() if n.startswith("data/custody")]:
        f.remove(name)
    for name in [n for n in whole.names() if n.startswith("data/custody")]:
        f.write(name, whole.read(name))
    f.claim(lambda claims: claims.update(part="whole"))


@act("excerpt passed off as whole", INCOMPLETE, "track front fragment {seq}: ", of="excerpt")
def a_second_cut_out_of_an_excerpt(f: PackageForger) -> dict[str, Any]:
    """It goes with its lines, within what the ledger handed over: an excerpt leaves lines out anyway."""
    pieces = f.pieces()[1:]
    gone = f.chance.choice(pieces)
    f.cut(FRONT, "front", [gone.seq])
    line = f.index_of('"kind":"fragment"', '"track":"front"', f'"seq":{gone.seq},', f.recording)
    f.show_only(i for i in f.indices if i != line)
    return {"seq": gone.seq}


@act("excerpt passed off as whole", TAMPERED, "the ledger exported the whole")
def the_whole_called_an_excerpt(f: PackageForger) -> None:
    """So that nobody asks for what he leaves out."""
    f.claim(lambda claims: claims.update(part="excerpt"))


@act("excerpt passed off as whole", TAMPERED, "track front fragment {seq}: the ledger exported", of="excerpt")
def more_than_was_handed_over(f: PackageForger) -> dict[str, Any]:
    """Seconds that the ledger never let go, under an excerpt's custody."""
    whole = f.genuine("whole")
    extra = next(piece for piece in whole.pieces()[1:] if piece.members["pts"] >= 3_000)
    line = whole.index_of('"kind":"fragment"', '"track":"front"', f'"seq":{extra.seq},', f.recording)
    f.show_only([*f.indices, line])
    f.write(FRONT, f.read(FRONT) + whole.bytes_of(extra))
    held = [list(r) for r in ranges_of(piece.seq for piece in f.pieces())]
    f.claim(lambda claims: claims["tracks"][0].update(held=held))
    return {"seq": extra.seq}


# --------------------------------------------------------------------------- claims


@act("duplicate JSON names", TAMPERED, "data/recording.json: a name stands twice")
def claimed_twice(f: PackageForger) -> None:
    """Whole for one reader, an excerpt for another."""
    f.replace(CLAIMS, '"part": "whole"', '"part": "excerpt", "part": "whole"')


@act("floats", TAMPERED, "data/recording.json: only integers are expected")
def a_float_claimed(f: PackageForger) -> None:
    """A range that ends at 1.0."""
    f.replace(CLAIMS, '"held": [[0, 1]]', '"held": [[0, 1.0]]')


@act("numbers beyond 2⁵³", TAMPERED, "data/recording.json: a number beyond 2**53")
def a_large_number_claimed(f: PackageForger) -> None:
    """A range that ends beyond what readers agree on."""
    f.replace(CLAIMS, '"held": [[0, 1]]', '"held": [[0, 9007199254740993]]')


# --------------------------------------------------------------------------- clocks


@act("clock set back before recording", INTACT, "earlier than possible: the clock was slow or set back")
def a_year_earlier(f: PackageForger) -> None:
    """The device believed that it was a year ago when it recorded this: it is said, and the bounds hold all the same."""
    f.become("late")


@act("clock set back before recording", INCOMPLETE, "data/journal.proof: no given witness key cosigned the checkpoint", of="late", key=True)
def a_year_earlier_without_beacons(f: PackageForger) -> None:
    """So that nothing says otherwise, the history is written anew without what the ledger was: nobody cosigned that."""
    journal = [line for line in f.journal[: f.size] if b'"kind":"beacon"' not in line]
    journal = forged.governed(journal, f.recording)
    mine = [i for i, line in enumerate(journal) if f.recording.encode() in line]
    governing = forged.indices_of(journal, json.loads(journal[mine[0]])["governing"])
    f.prove(journal, sorted({0, *governing, *mine}), len(journal), f.signed(journal))
    f.forget("data/anchor.", "data/beacon.")

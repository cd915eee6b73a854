"""The core under CPython and under real MicroPython: both hold every vector, and say the same of whatever else comes.

The checks are `tests/interpreters/check_*.py`, in the board's dialect; either interpreter runs them, and what they print must be equal.
Memory is measured with the code compiled into a ROM image, as a board has it in flash, so the heap holds only what the code makes.
"""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.core import kinds, lines, note, ulid, wire

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CHECKS = TESTS / "interpreters"
BIN = Path(sysconfig.get_path("scripts"))
VECTORS = [str(TESTS / "vectors" / name) for name in ("transparency.json", "ed25519.json", "p256.json")]
LOGS = sorted((TESTS / "data" / "nmea").glob("*.log"))
TRANSPARENCY = json.loads(Path(VECTORS[0]).read_text())

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the MicroPython of PyPI comes for Linux")


def run(command: Sequence[str | Path], **environment: str) -> list[str]:
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False, timeout=200)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout.splitlines()


def by_cpython(check: str, *arguments: str) -> list[str]:
    return run([sys.executable, CHECKS / f"{check}.py", *arguments], PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")


def by_micropython(check: str, *arguments: str) -> list[str]:
    """From the sources, with memory enough: what is computed is the question here."""
    path = f"{ROOT}:{CHECKS}:.frozen"
    return run([BIN / "micropython", "-X", "heapsize=4m", CHECKS / f"{check}.py", *arguments], MICROPYPATH=path)


# --------------------------------------------------------------------------- the same answers


def test_both_hold_every_vector() -> None:
    answers = by_cpython("check_vectors", *VECTORS)
    assert by_micropython("check_vectors", *VECTORS) == answers
    expected = sum(len(TRANSPARENCY[part]) for part in ("roots", "inclusion", "consistency", "range", "checkpoints"))
    signatures = sum(len(json.loads(Path(path).read_text())["vectors"]) for path in VECTORS[1:])
    counted = [answer for answer in answers if not answer.startswith("sha512")]
    assert len(counted) == expected + len(["ecdsa"]) + signatures


@pytest.mark.parametrize("check", ["check_lines", "check_merkle", "check_rules"])
def test_both_build_the_same_lines_and_trees_and_keep_the_same_rules(check: str) -> None:
    assert by_micropython(check) == by_cpython(check) != []


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_both_find_the_same_fixes(log: Path) -> None:
    assert by_micropython("check_nmea", str(log)) == by_cpython("check_nmea", str(log)) != []


# --------------------------------------------------------------------------- the same refusals

COSIGNED = TRANSPARENCY["checkpoints"][-1]["cosigned"]
LINE = '{"at":1,"up":2,"kind":"mark","recording":"R","n":3,"label":"重点 \\"\\\\\\u4e2d\\ud83d\\ude00","x":[true,null,{"y":-7}],"salt":"s"}'
STOP = '{"at":1,"up":2,"kind":"stop","recording":"R","n":3,"trigger":"button","tracks":[],"salt":"s"}'

SAMPLES: dict[str, list[bytes]] = {
    "line": [
        LINE.encode(),
        STOP.encode(),
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\x80"}',
        b'{"a":"\xf4\x90\x80\x80"}',
        b'{"a":"\xef\xbf\xbe"}',
    ],
    "meaning": [
        LINE.encode(),
        STOP.encode(),
        *[
            lines.build(kind, 1, 2, "s", [(name, 1 if type_ is int else "x") for name, type_ in table.items()])
            for kind, (_, table) in kinds.KINDS.items()
        ],
    ],
    "batch": [wire.encode_batch(TRANSPARENCY["checkpoints"][-1]["size"] - 2, [b'{"a":1}', b"\xff"], COSIGNED)],
    "note": [COSIGNED.encode(), TRANSPARENCY["ecdsa"]["signed"].encode()],
    "tlog-proof": [note.tlog_proof(7, [b"h" * 32, b"i" * 32], COSIGNED, b"extra").encode()],
    "range-proof": [note.range_proof([(0, 3), (7, 9)], [b"h" * 32], COSIGNED).encode()],
    "order": [note.order(note.ORDER, "a.example/D/1", 5, '{"name":"still","expires":9}').encode()],
    "vkey": [TRANSPARENCY["keys"]["device_vkey"].encode(), TRANSPARENCY["ecdsa"]["vkey"].encode()],
    "origin": [b"evidence.example.gov/DSJ-0012345/1"],
    "der": [bytes.fromhex(one["signature"]) for one in json.loads(Path(VECTORS[2]).read_text())["vectors"]],
    "nmea": [b"".join(LOGS[2].read_bytes().splitlines(keepends=True)[-25:]), LOGS[0].read_bytes()[-900:]],
    "ulid": [ulid.new(1_763_712_000_000, b"0123456789").encode()],
}


def bent(sample: bytes, chance: random.Random) -> bytes:
    """A sample with one thing wrong, or two."""
    data = bytearray(sample)
    for _ in range(chance.choice([1, 1, 2])):
        place = chance.randrange(len(data) + 1)
        how = chance.randrange(6)
        if how == 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif how == 1:
            del data[place : place + chance.randrange(1, 4)]
        elif how == 2:
            data[place:place] = chance.choice(
                [b"\0", b"\n", b"\xff", b"\xe2\x80\x94", b'"', b"\\", b"0", b"-", b".", b" ", b"+", b"{", b"[", b"\xed\xa0\x80"]
            )
        elif how == 3:
            del data[place:]
        elif how == 4:
            data[place : place + 1] = bytes([chance.choice(b'0123456789abcdefghijABCXYZ{}[]",:\\/+= \n')])
        else:
            data[place:place] = data[max(0, place - 9) : place]
    return bytes(data)


def corpus() -> Iterator[str]:
    chance = random.Random(20_251_121)
    for reader, samples in SAMPLES.items():
        for sample in samples:
            yield f"{reader} {sample.hex()}"
        for _ in range(300):
            yield f"{reader} {bent(chance.choice(samples), chance).hex()}"


def test_both_read_and_refuse_the_same_in_the_same_words(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_text("\n".join(corpus()) + "\n")
    answers = by_cpython("check_input", str(rows))
    assert len(answers) == len(rows.read_text().splitlines())
    assert [answer for answer in zip(by_micropython("check_input", str(rows)), answers, strict=True) if answer[0] != answer[1]] == []
    for reader in SAMPLES:
        refused = {"Error" in answer for answer in answers if answer.startswith(f"{reader} ")}
        assert True in refused or reader in {"nmea", "der"}, f"{reader}: nothing was refused"


# --------------------------------------------------------------------------- a board's memory

KIB = 1024
BOARD_WORDS = struct.calcsize("P") // 4
"""Objects are made of words. A board's have 32 bits; where this machine's are larger, the same objects take that much more, which is
also what the suffix `w` of MicroPython's own `-X heapsize` means."""


def number(value: int) -> bytes:
    """A romfs number: seven bits a byte, the highest first."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.insert(0, value & 0x7F | 0x80)
    return bytes(out)


def record(kind: int, payload: bytes) -> bytes:
    return number(kind) + number(len(payload)) + payload


def romfs(folder: Path) -> bytes:
    """The records of a folder: file (5) with its bytes in place (2), folder (4)."""
    out = b""
    for path in sorted(folder.iterdir()):
        name = number(len(path.name)) + path.name.encode()
        out += record(4, name + romfs(path)) if path.is_dir() else record(5, name + record(2, path.read_bytes()))
    return out


@pytest.fixture(scope="module")
def rom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every module of the core and every check, compiled as for a board, in one image (docs.micropython.org, romfs)."""
    folder = tmp_path_factory.mktemp("rom")
    sources = {
        path: folder / "rom" / path.relative_to(ROOT) for path in [ROOT / "agent" / "__init__.py", *(ROOT / "agent" / "core").glob("*.py")]
    }
    sources |= {path: folder / "rom" / path.name for path in CHECKS.glob("check_*.py")}
    for source, target in sources.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        run([BIN / "mpy-cross", "-O3", "-o", target.with_suffix(".mpy"), source])
    body = romfs(folder / "rom")
    size = number(len(body))
    image = folder / "rom.img"
    image.write_bytes(b"\xd2\xcd\x31" + (b"\x80" if (len(size) + len(body)) % 2 else b"") + size + body)
    return image


def on_a_board(rom: Path, heap_bytes: int, check: str, *arguments: str) -> list[str]:
    """The check with the code in ROM and so much heap beside it; the last line, the heap's own figures, is left out."""
    heap = f"heapsize={rom.stat().st_size + heap_bytes}"
    answers = run([BIN / "micropython", "-X", heap, CHECKS / "rom_main.py", rom, check, *arguments])
    assert answers[-1].startswith("heap ")
    return answers[:-1]


SMALL = [("check_lines", ""), ("check_merkle", ""), *[(check, log.name) for check in ("check_nmea", "check_small") for log in LOGS]]


@pytest.mark.parametrize(("check", "log"), SMALL, ids=lambda value: value)
def test_lines_trees_and_positions_need_16_kib(rom: Path, check: str, log: str) -> None:
    arguments = [str(TESTS / "data" / "nmea" / log)] if log else []
    assert on_a_board(rom, 16 * KIB * BOARD_WORDS, check, *arguments) == by_cpython(check, *arguments)


def test_signing_needs_64_kib(rom: Path, tmp_path: Path) -> None:
    """Of this machine's words, so half as much on a board; the answers are those of the vectors."""
    keys, known = TRANSPARENCY["keys"], TRANSPARENCY["checkpoints"][-1]
    figures = tmp_path / "figures"
    signature = known["cosigned"].split()[-1]
    rows = [keys["device_seed_hex"], keys["origin"], keys["witness_vkey"], str(known["size"]), str(known["cosigned_at"]), signature]
    figures.write_text("\n".join(rows) + "\n")
    answers = on_a_board(rom, 64 * KIB, "check_signing", str(figures))
    assert answers == by_cpython("check_signing", str(figures))
    assert f"vkey {keys['device_vkey']}" in answers
    assert f"opened [('{keys['origin']}', None), ('{keys['witness']}', {known['cosigned_at']})]" in answers


def test_the_measure_is_a_measure(rom: Path) -> None:
    """With too little heap the same check fails for want of memory, so the cap above is one."""
    command: list[str | Path] = [
        BIN / "micropython",
        "-X",
        f"heapsize={rom.stat().st_size + 8 * KIB}",
        CHECKS / "rom_main.py",
        rom,
        "check_small",
        str(LOGS[0]),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "MemoryError" in result.stderr + result.stdout

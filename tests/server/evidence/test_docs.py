"""The pages about evidence say what the code does; the worked example is computed from its own bytes by these few lines."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from agent.core import ed25519, kinds
from server.evidence.auditing import device, store
from server.evidence.command import parser
from server.evidence.reading import LEDGER_KINDS
from server.evidence.verdict import CHINESE, EXIT
from server.evidence.verify import CHECKS
from tests.server.evidence import example

DOCS = Path(__file__).parents[3] / "docs"
FORMAT = (DOCS / "evidence-format.md").read_text()
BLOCKS = dict(re.findall(r"^```([a-z.-]+)\n(.*?)^```$", FORMAT, re.MULTILINE | re.DOTALL))


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def tree(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01", tree(leaves[:k]), tree(leaves[k:]))


def leaves() -> list[bytes]:
    return [sha256(b"\x00", line.encode()) for line in BLOCKS["lines"].splitlines()]


def test_the_example_is_what_the_code_makes():
    made = {**{name.replace(" ", "-"): text for name, text in example.blocks().items()}}
    made["journal.proof"] = made.pop("excerpt.proof")
    assert made == BLOCKS


def test_the_leaf_hashes_are_those_of_the_lines():
    assert [leaf.hex() for leaf in leaves()] == BLOCKS["leaf-hashes"].split()
    for governing in BLOCKS["leaf-hashes"].split()[1:4]:
        assert governing in BLOCKS["lines"].splitlines()[4]


def test_the_root_and_the_signatures():
    body, signatures = BLOCKS["checkpoint"].split("\n\n")
    origin, size, root = body.split("\n")
    assert (origin, size, base64.b64decode(root)) == ("evidence.example.gov/DSJ-0012345/1", "8", tree(leaves()))
    keys = {vkey.split("+")[0]: base64.b64decode(vkey.split("+", 2)[2]) for vkey in BLOCKS["keys"].split()}
    (_, device_name, own), (_, witness, theirs) = (line.split(" ") for line in signatures.splitlines())
    signed, cosigned = base64.b64decode(own), base64.b64decode(theirs)
    assert ed25519.verify(keys[device_name][1:], f"{body}\n".encode(), signed[4:])
    seconds = int.from_bytes(cosigned[4:12], "big")
    assert ed25519.verify(keys[witness][1:], f"cosignature/v1\ntime {seconds}\n{body}\n".encode(), cosigned[12:])
    assert cosigned[:4].hex() == "e74ee126" == sha256(witness.encode(), b"\n", keys[witness])[:4].hex()


def test_the_range_proof_as_the_page_tells_it():
    head, note = BLOCKS["journal.proof"].split("\n\n", 1)
    ranges = [tuple(map(int, row.split()[1:])) for row in head.splitlines() if row.startswith("range")]
    hashes = [base64.b64decode(row) for row in head.splitlines()[1 + len(ranges) :]]
    shown = [leaves()[i] for first, end in ranges for i in range(first, end)]

    def walk(first: int, end: int) -> bytes:
        if not any(a < end and first < b for a, b in ranges):
            return hashes.pop(0)
        if end - first == 1:
            return shown.pop(0)
        k = 1 << (end - first - 1).bit_length() - 1
        return sha256(b"\x01", walk(first, first + k), walk(first + k, end))

    assert ranges == [(0, 1), (3, 6), (7, 8)]
    assert base64.b64encode(walk(0, 8)).decode() == note.splitlines()[2]
    assert hashes == shown == []


def test_the_enrolment_proof():
    head, note = BLOCKS["device.tlog-proof"].split("\n\n", 1)
    _, extra, index, first, second = head.split("\n")
    line = base64.b64decode(extra.removeprefix("extra "))
    assert index == "index 1"
    left = sha256(b"\x01", base64.b64decode(first), sha256(b"\x00", line))
    assert base64.b64encode(sha256(b"\x01", left, base64.b64decode(second))).decode() == note.splitlines()[2]
    assert BLOCKS["keys"].split()[0].encode() in line


def test_the_picture():
    assert hashlib.sha256(example.PICTURE).hexdigest() in BLOCKS["lines"]
    assert f"`{example.PICTURE.decode()}`" in FORMAT


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_of_line_has_its_row(kind):
    row = next(line for line in FORMAT.splitlines() if line.startswith(f"| `{kind}` |"))
    scope, members = kinds.KINDS[kind]
    named = re.findall(r"`([a-z0-9]+)`", row.split("|")[3])
    assert named == list(members)
    expected = {kinds.DEVICE: "", kinds.RECORDING: "yes", kinds.WHILE: "while recording", kinds.AFTER: "after the stop, without `n`"}
    assert row.split("|")[2].strip() == expected[scope]


@pytest.mark.parametrize("kind", LEDGER_KINDS)
def test_every_kind_of_ledger_line_has_its_row(kind):
    ledger = FORMAT[FORMAT.index("## 7.") : FORMAT.index("## 8.")]
    row = next(line for line in ledger.splitlines() if line.startswith("|") and f"`{kind}`" in line.split("|")[1])
    assert set(LEDGER_KINDS[kind]) <= set(re.findall(r"`([a-z0-9]+)`", row.split("|")[2]))


PAGES = [FORMAT, (DOCS / "verify.md").read_text(), (DOCS / "verify.zh-CN.md").read_text()]


@pytest.mark.parametrize("page", PAGES, ids=["format", "verify", "verify.zh-CN"])
def test_every_verdict_has_its_exit_status(page):
    for verdict, status in EXIT.items():
        assert re.search(rf"\| `{verdict}`[^|]*\| {status}\b", page), verdict


@pytest.mark.parametrize("page", PAGES[1:], ids=["verify", "verify.zh-CN"])
def test_every_check_is_explained(page):
    for name in {*CHECKS, *device.CHECKS, *store.CHECKS}:
        assert f"| `{name}` |" in page, name
    for option in ("--key", "--excerpt", "--json", "--media-digests", "--no-media"):
        assert option in page
    for word in CHINESE.values():
        assert word in page


def test_the_help_names_what_the_pages_name():
    text = parser("verify.pyz").format_help()
    for option in ("--key", "--excerpt", "--json", "--media-digests"):
        assert option in text

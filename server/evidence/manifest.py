"""The bag's own lists: every file is named in a manifest and is what its digest says (RFC 8493, sections 2.1 to 2.2).

Rules:
- The set of files is closed: one that the format does not know is a fault, whatever a manifest says of it.
- Listed and not there is `incomplete`; there and not listed, or of another digest, is `tampered`.
- Media are left to `checks.fragments`: each of their bytes is hashed there against what the device *signed*, and the file's length must
  be the sum. Their digest in the manifest, which nobody signed, is computed only on request: it would double the work and prove less.

A manifest is not signed: it shows what was damaged on the way. What stops a forger are the proofs.
"""

from __future__ import annotations

import hashlib
import re

from .bag import PIECE, Bag
from .errors import MisfitError, MissingError
from .text import many
from .verdict import Check

BAGIT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"

MAX_MANIFEST = 16 << 20
MAX_TAG_FILE = 1 << 20
MAX_FILE = {"data/journal.jsonl": 512 << 20, "data/custody.jsonl": 128 << 20}
MAX_OTHER_FILE = 64 << 20
"""Of everything but media, whose length the signed lines give: nobody hashes a file that can't be right."""

_ROW = re.compile(r"([0-9a-f]{64})  (\S+)")
MEDIA = re.compile(r"data/media/([A-Za-z0-9_-][A-Za-z0-9._-]{0,63})\.(mp4|jpg)")
_PAYLOAD = re.compile(
    r"data/(?:recording\.json|journal\.jsonl|journal\.proof|device\.tlog-proof|beacon\.note|beacon\.tlog-proof|anchor\.proof"
    r"|anchor\.tlog-proof|custody\.jsonl|custody/(?:0|[1-9][0-9]{0,8})\.tlog-proof|certificates/[A-Za-z0-9._-]+\.pem|keys\.txt|report\.html)"
)
_TAGS = ("bagit.txt", "bag-info.txt", MANIFEST)
_TOOL = "verify.pyz"


def check_bag(check: Check, bag: Bag, *, media_too: bool) -> None:
    """Hold the files against the bag's manifests."""
    for place, message in bag.faults:
        check.tampered(place, message)
    for name in bag.litter[:10]:
        check.note(f"{name}: left by an operating system, not part of the package, not looked at")
    if bag.text("bagit.txt", MAX_TAG_FILE) != BAGIT:
        check.tampered("bagit.txt", "expected BagIt-Version 1.0 in UTF-8")
    tags, payload = _rows(bag, TAG_MANIFEST), _rows(bag, MANIFEST)
    hashed = _hold(check, bag, tags, TAG_MANIFEST, [n for n in bag.files if not n.startswith("data/") and n != TAG_MANIFEST])
    hashed += _hold(check, bag, payload, MANIFEST, [n for n in bag.files if n.startswith("data/")], media_too=media_too)
    for name in _TAGS:
        if name not in tags:
            check.tampered(TAG_MANIFEST, f"does not list {name}")
    if check.ok:  # a file that is missing, or one too many, is named already
        _check_oxum(check, bag)
    media = sum(MEDIA.fullmatch(name) is not None for name in bag.files)
    check.figures = {"files": len(bag.files), "bytes": sum(bag.files.values()), "hashed": hashed, "media": media}
    check.figures["media_digests_recomputed"] = media_too
    how = (
        "and so were the media files"
        if media_too
        else f"{many(media, 'media file')}: manifest digests not computed again, each byte is hashed against signed fragments below"
    )
    check.says = f"{len(bag.files)} files, all listed and nothing else; {hashed} hash to what the manifests say; {how}"


def _hold(check: Check, bag: Bag, rows: dict[str, str], manifest: str, there: list[str], *, media_too: bool = True) -> int:
    """Compare what is listed with what is there; the count of files that were hashed."""
    for name in there:
        if not (_PAYLOAD.fullmatch(name) or MEDIA.fullmatch(name) or name in _TAGS or name == _TOOL):
            check.tampered(name, "a file that the format does not know")
        elif name not in rows:
            check.tampered(name, f"not listed in {manifest}")
    hashed, buffer, faulty = 0, memoryview(bytearray(PIECE)), {place for place, _ in bag.faults}
    for name, digest in rows.items():
        if name not in bag.files:
            if name not in faulty:
                check.incomplete(name, f"listed in {manifest} and not there")
        elif media_too or not MEDIA.fullmatch(name):
            hashed += 1
            limit = bag.size(name) if MEDIA.fullmatch(name) else MAX_FILE.get(name, MAX_OTHER_FILE)
            if bag.size(name) > limit:
                check.tampered(name, f"at most {limit} bytes are expected here, the file has {bag.size(name)}")
            elif _digest(bag, name, buffer) != digest:
                check.tampered(name, f"does not hash to what {manifest} says")
    return hashed


def _digest(bag: Bag, name: str, buffer: memoryview) -> str:
    sha256 = hashlib.sha256()
    for piece in bag.pieces(name, buffer):
        sha256.update(piece)
    return sha256.hexdigest()


def _rows(bag: Bag, manifest: str) -> dict[str, str]:
    """File → digest of a manifest."""
    text = bag.text(manifest, MAX_MANIFEST)
    if not text.endswith("\n"):
        raise MisfitError(manifest, "torn: its last line has no end")
    rows: dict[str, str] = {}
    for number, line in enumerate(text[:-1].split("\n"), 1):
        row = _ROW.fullmatch(line)
        if row is None:
            raise MisfitError(f"{manifest} line {number}", "expected a digest, two spaces and a file's name")
        digest, name = row.groups()
        if name in rows or name.startswith("data/") != (manifest == MANIFEST):
            raise MisfitError(f"{manifest} line {number}", f"{name} is listed twice, or belongs to the other manifest")
        rows[name] = digest
    return rows


def media_digests(bag: Bag) -> dict[str, str]:
    """What the manifest says of the media files; nothing where it can't be read (that is reported elsewhere)."""
    try:
        return {name: digest for name, digest in _rows(bag, MANIFEST).items() if MEDIA.fullmatch(name)}
    except (MisfitError, MissingError):
        return {}


def _check_oxum(check: Check, bag: Bag) -> None:
    """Payload-Oxum: bytes and count of the payload (section 2.2.2)."""
    payload = [size for name, size in bag.files.items() if name.startswith("data/")]
    expected = f"Payload-Oxum: {sum(payload)}.{len(payload)}"
    rows = bag.text("bag-info.txt", MAX_TAG_FILE).split("\n")
    if expected not in rows:
        check.tampered("bag-info.txt", f"expected {expected}")

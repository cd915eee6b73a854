"""Archives in which one reader sees something else than another: none of them may come out as intact."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from server.evidence.errors import NotAPackageError
from server.evidence.text import as_text
from server.evidence.verify import verify
from tests.server.evidence.forge import FRONT
from tests.server.evidence.test_bag import patched


class Raw:
    """An archive put together by hand: what `zipfile` would not write."""

    def __init__(self) -> None:
        self.body, self.directory, self.count = b"", b"", 0

    def add(self, name: str, data: bytes, *, listed: int | None = None, inner: int | None = None, extra: bytes = b"") -> None:
        """A deflated file; `listed` and `inner` are the sizes that directory and local header give."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        raw, at, crc = name.encode(), len(self.body), zlib.crc32(data)
        sizes = (crc, len(packed), len(data) if inner is None else inner, len(raw), len(extra))
        self.body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 33, *sizes) + raw + extra + packed
        listed = len(data) if listed is None else listed
        head = (b"PK\x01\x02", 0x314, 20, 0, 8, 0, 33, crc, len(packed), listed, len(raw), len(extra), 0, 0, 0, 0o100644 << 16, at)
        self.directory += struct.pack("<4s6H3L5H2L", *head) + raw + extra
        self.count += 1

    def write(self, target: Path) -> Path:
        """The archive."""
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, self.count, self.count, len(self.directory), len(self.body), 0)
        target.write_bytes(self.body + self.directory + end)
        return target


def judged(forger, archive: Path, says: str) -> None:
    """Tampered, for this reason."""
    report = verify(str(archive), forger.world.trusted)
    assert report.verdict == "tampered", as_text(report)
    assert says in as_text(report), as_text(report)


def test_a_deflated_file_with_more_in_it_than_is_listed(forger, tmp_path):
    """unzip writes all of it out, we would have read the beginning."""
    raw = Raw()
    for name in forger.names():
        data = forger.read(name)
        raw.add(name, data + b"hidden" if name == FRONT else data, listed=len(data), inner=len(data))
    judged(forger, raw.write(tmp_path / "x.zip"), "do not end at the size that is listed")


def test_a_deflated_file_with_something_behind_it(forger, tmp_path):
    raw = Raw()
    for name in forger.names():
        raw.add(name, forger.read(name))
    at = raw.body.index(b"bag-info.txt") + len(b"bag-info.txt")
    with zipfile.ZipFile(raw.write(tmp_path / "x.zip")) as z:
        packed = z.getinfo("bag-info.txt").compress_size
    archive = tmp_path / "y.zip"
    one = Raw()
    one.body = raw.body[: at + packed] + b"behind" + raw.body[at + packed :]
    one.count = raw.count
    one.directory = b""
    for entry in _central_entries(raw.directory):
        fields, name = entry
        fields[8] += 6 if name == b"bag-info.txt" else 0
        fields[16] += 6 if fields[16] >= at else 0
        one.directory += struct.pack("<4s6H3L5H2L", *fields) + name
    one.write(archive)
    patched(archive, b"PK\x03\x04", b"bag-info.txt", 18, struct.pack("<L", packed + 6))
    judged(forger, archive, "do not end at the size that is listed")


def _central_entries(directory: bytes) -> list[tuple[list[Any], bytes]]:
    found, at = [], 0
    while at < len(directory):
        fields = list(struct.unpack_from("<4s6H3L5H2L", directory, at))
        found.append((fields, directory[at + 46 : at + 46 + fields[10]]))
        at += 46 + fields[10] + fields[11]
    return found


def test_a_local_header_with_another_size(forger, tmp_path):
    raw = Raw()
    for name in forger.names():
        raw.add(name, forger.read(name), inner=7 if name == FRONT else None)
    judged(forger, raw.write(tmp_path / "x.zip"), "says something else than the directory")


def test_a_file_that_only_readers_of_local_headers_see(forger, tmp_path):
    raw = Raw()
    for name in forger.names():
        if name == FRONT:
            kept, count = raw.directory, raw.count
            raw.add("data/media/other.mp4", b"other")
            raw.directory, raw.count = kept, count
        raw.add(name, forger.read(name))
    judged(forger, raw.write(tmp_path / "x.zip"), "belong to no file of the archive")


def test_a_second_name_for_a_file(forger, tmp_path):
    raw = Raw()
    second = b"data/media/second.mp4"
    body = struct.pack("<BL", 1, zlib.crc32(FRONT.encode())) + second
    for name in forger.names():
        raw.add(name, forger.read(name), extra=struct.pack("<HH", 0x7075, len(body)) + body if name == FRONT else b"")
    judged(forger, raw.write(tmp_path / "x.zip"), "a second name")


def test_a_second_directory(forger, tmp_path):
    """Readers that look for the zip64 record first see another package."""
    shown, hidden = Raw(), Raw()
    for name in forger.names():
        shown.add(name, forger.read(name))
    at = len(shown.body) + len(shown.directory)
    hidden.body = bytes(at)
    hidden.add("bagit.txt", b"another")
    where = len(hidden.body) + len(hidden.directory)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(hidden.directory), len(hidden.body))
    comment = hidden.body[at:] + hidden.directory + end64 + struct.pack("<4sLQL", b"PK\x06\x07", 0, where, 1)
    fields, name = _central_entries(shown.directory)[-1]
    fields[12] = len(comment)
    shown.directory = shown.directory[: -46 - len(name)] + struct.pack("<4s6H3L5H2L", *fields) + name + comment
    archive = shown.write(tmp_path / "x.zip")
    with zipfile.ZipFile(archive) as z:
        assert z.namelist() == ["bagit.txt"]
    with pytest.raises(NotAPackageError, match="two directories that differ"):
        verify(str(archive), forger.world.trusted)


@pytest.mark.parametrize("offset", [1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_an_offset_beyond_every_file(forger, tmp_path, offset):
    raw = Raw()
    for name in forger.names():
        raw.add(name, forger.read(name))
    fields, name = _central_entries(raw.directory)[-1]
    extra = struct.pack("<HHQ", 1, 8, offset)
    fields[11], fields[16] = len(extra), 0xFFFFFFFF
    raw.directory = raw.directory[: -46 - len(name)] + struct.pack("<4s6H3L5H2L", *fields) + name + extra
    judged(forger, raw.write(tmp_path / "x.zip"), "says something else than the directory")


class Stream(io.RawIOBase):
    """A target that can't go back, as a pipe: sizes then stand behind each file."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_that_was_streamed_is_as_good(forger, tmp_path, method):
    stream = Stream()
    with zipfile.ZipFile(stream, "w", method) as out:
        out.mkdir("data")
        for name in forger.names():
            out.writestr(name, forger.read(name))
    (tmp_path / "x.zip").write_bytes(stream.data)
    report = verify(str(tmp_path / "x.zip"), forger.world.trusted)
    assert report.verdict == "intact", as_text(report)

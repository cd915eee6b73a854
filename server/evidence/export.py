"""`zhilu export RECORDING -o DIR`: have the server make a hand-over package, and lay it down as a folder or a .zip.

Rules:
- A running server is asked over HTTP (`--server`): it alone writes to its ledger, and the ledger says who took which before a byte
  goes out. Without one, `--settings` opens the data folder itself, as its only writer.
- What came is unpacked by the same reader that the verifier uses; nothing is written outside DIR, nothing is overwritten.

Exit status: 0 done, 1 the package can't be made, 2 usage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import bagwriter
from .bag import PIECE
from .bagwriter import Member
from .errors import EvidenceError, ExportError
from .text import plain
from .zipbag import ZipBag

SERVER = "http://127.0.0.1:8080"
PATIENCE_S = 600
MAX_PROBLEM = 65536

EPILOG = """examples:
  zhilu export 01JD8Z3V9M5Q7R2T4W6Y8A0C1E -o packages
  zhilu export 01JD8Z3V9M5Q7R2T4W6Y8A0C1E -o packages --from 60000 --to 90000     (an excerpt, in ms of media time)
  zhilu export 01JD8Z3V9M5Q7R2T4W6Y8A0C1E -o packages --settings server/settings.toml     (no server is running)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(
        "zhilu export", description="Write a recording's hand-over package.", epilog=EPILOG, formatter_class=form
    )
    made.add_argument("recording", help="its ULID, or DEVICE:ULID")
    made.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="where the package goes, under its own name")
    made.add_argument("--server", default=SERVER, metavar="URL", help=f"the console of a running server (default: {SERVER})")
    made.add_argument("--settings", type=Path, metavar="FILE", help="a server's settings: work on its data folder while no server runs")
    made.add_argument("--from", dest="first_ms", type=int, metavar="MS", help="an excerpt from this media time on")
    made.add_argument("--to", dest="end_ms", type=int, metavar="MS", help="and to this one")
    made.add_argument("--zip", action="store_true", help="leave it a .zip")
    made.add_argument("--json", action="store_true", help="print where it is as one JSON object")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is returned."""
    options = parser().parse_args(argv)
    from server.errors import ServerError

    try:
        options.out.mkdir(parents=True, exist_ok=True)
        made = _from_folder(options) if options.settings is not None else _from_server(options)
    except (EvidenceError, ServerError) as e:
        sys.stderr.write(f"zhilu export: {plain(str(e))}\n")
        return 1
    except OSError as e:
        sys.stderr.write(f"zhilu export: {plain(str(e.filename or options.out))}: {e.strerror or e}\n")
        return 1
    answer = {"recording": options.recording, "package": str(made), "bytes": _bytes(made)}
    out = (
        json.dumps(answer, ensure_ascii=False)
        if options.json
        else f"{made}: {answer['bytes']} bytes; check it: zhilu verify {made} --key …"
    )
    sys.stdout.write(out + "\n")
    return 0


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


# --------------------------------------------------------------------------- from a running server


def _from_server(options: argparse.Namespace) -> Path:
    with _archive(options.out / f".{options.recording.replace(':', '-')}.partial") as archive:
        name = _download(options, archive)
        if options.zip:
            return _renamed(archive, options.out / f"{name}.zip")
        unpack(archive, options.out / name)
    return Path(options.out / name)


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[Path]:
    """A file that is gone in the end, unless it was renamed."""
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _renamed(archive: Path, target: Path) -> Path:
    if target.exists():
        raise ExportError(f"{target}: is there already; name another folder")
    return archive.rename(target)


def _download(options: argparse.Namespace, archive: Path) -> str:
    """Fetch the .zip; the package's name."""
    query = {name: value for name, value in (("from", options.first_ms), ("to", options.end_ms)) if value is not None}
    path = f"/api/v1/recordings/{urllib.parse.quote(options.recording, safe=':')}/package"
    url = f"{options.server.rstrip('/')}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ExportError(f"--server {options.server[:200]}: expected an http or https address")
    # The console is on this machine or in this house: a proxy for the outside is never asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, b"", method="POST"), timeout=PATIENCE_S) as answer, archive.open("xb") as file:  # noqa: S310
            while piece := answer.read(PIECE):
                file.write(piece)
            return _name(answer.headers.get_filename() or "", options.recording)
    except urllib.error.HTTPError as e:
        raise ExportError(f"{options.server}: {_problem(e)}") from e
    except urllib.error.URLError as e:
        message = f"{options.server}: {e.reason}; is the server running? Name its console with --server, or its settings with --settings"
        raise ExportError(message) from e


def _problem(error: urllib.error.HTTPError) -> str:
    """What the server said (RFC 9457)."""
    try:
        said = json.loads(error.read(MAX_PROBLEM))
        return str(said.get("detail") or said["title"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"HTTP status {error.code}"


def _name(filename: str, recording: str) -> str:
    """The package's name from the server's, never a path."""
    name = filename.removesuffix(".zip")
    return name if name and set(name) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_-") else recording.rpartition(":")[2]


def unpack(archive: Path, folder: Path) -> None:
    """Lay a package down as a folder; ExportError when the archive is not one that we would make."""
    bag = ZipBag(archive)
    if bag.faults:
        raise ExportError(f"{archive.name}: {bag.faults[0][0]}: {bag.faults[0][1]}")

    def pieces(name: str) -> Iterator[bytes]:
        for piece in bag.pieces(name, memoryview(bytearray(PIECE))):
            yield bytes(piece)

    members = [Member(name, size, "", 0, lambda name=name: pieces(name)) for name, size in bag.files.items()]  # type: ignore[misc]
    bagwriter.write_folder(members, folder)


# --------------------------------------------------------------------------- from a data folder


def _from_folder(options: argparse.Namespace) -> Path:
    from server import config
    from server.api.source import ServerSource
    from server.services import open_services

    from . import gather, package, pyz
    from .excerpt import Stretch

    settings = config.load(options.settings)
    if not settings.path("logs.sqlite").exists():
        raise ExportError(f"{options.settings}: there is no logs.sqlite beside it; expected the settings in a server's data folder")
    with open_services(settings) as services:
        found = services.catalogue.find(options.recording)
        whole = options.first_ms is None and options.end_ms is None
        end_ms = found.duration if options.end_ms is None else options.end_ms
        stretch = None if whole else Stretch(options.first_ms or 0, end_ms)
        source = ServerSource(services)
        gather.find(source, found.origin, found.recording, found.start_line, stretch)
        said = {} if stretch is None else {"from": stretch.first_ms, "to": stretch.end_ms}
        line = services.ledger.append("export", {"device": found.device, "recording": found.recording, "by": "zhilu export", **said})
        ready = package.make(source, package.Wanted(found.origin, found.recording, found.start_line, stretch, line), pyz.build())
        target = Path(options.out / ready.name)
        if not options.zip:
            ready.write_folder(target)
            return target
        target = target.with_name(f"{ready.name}.zip")
        if target.exists():
            raise ExportError(f"{target}: is there already; name another folder")
        with target.open("xb") as file:
            file.writelines(ready.zip_pieces())
        return target


if __name__ == "__main__":
    sys.exit(main())

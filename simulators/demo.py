"""`zhilu demo`: server, broker and virtual recorders on this machine, each a process of its own.

Runs until Ctrl-C; a second start finds the first one's data. With --once nobody needs to watch: one recorder starts, marks,
stops, uploads; the package is exported and verified, one JSON object is printed, and the exit status is 0 only for `intact`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioning.errors import ProvisioningError
from server.evidence.errors import EvidenceError
from simulators import lettering
from simulators.children import ROOT
from simulators.errors import SimulatorError
from simulators.once import Story
from simulators.stage import Stage
from simulators.units import units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAILED = 1
USAGE = 2
ROOM_BYTES = 256 * 1024 * 1024
"""Two recorders and a server for some minutes. With less than 64 MiB a recorder refuses to record, as it should, and nobody sees why."""
EXAMPLE = "example: zhilu demo --once --seconds 8 --nonce 4711 --out /tmp/package --json"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="zhilu demo", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--once", action="store_true", help="record once, upload, verify, exit")
    made.add_argument("--seconds", type=float, default=8.0, help="with --once: how long to record (%(default)s)")
    made.add_argument("--nonce", default="", metavar="TEXT", help="with --once: burnt into the picture, and the mark's label")
    made.add_argument("--out", type=Path, metavar="DIR", help="with --once: where the package goes (./out)")
    made.add_argument("--data", type=Path, metavar="DIR", help="everything is kept here (./demo; with --once: nowhere)")
    made.add_argument("--recorders", type=int, default=2, help="how many virtual recorders without --once (%(default)s)")
    made.add_argument("--generated", action="store_true", help="drawn pictures and tones instead of the sample clips")
    made.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit status is returned."""
    options = parser().parse_args(arguments)
    wrong = _wrong(options)
    if wrong:
        sys.stderr.write(f"zhilu demo: {wrong}\n")
        return USAGE
    say = _silent if options.json else _aloud
    try:
        return asyncio.run(_once(options, say) if options.once else _stay(options, say))
    except (SimulatorError, ProvisioningError, EvidenceError) as problem:
        sys.stderr.write(f"zhilu demo: {problem}\n")
        return FAILED
    except OSError as problem:
        sys.stderr.write(f"zhilu demo: {problem.filename or 'this machine'}: {problem.strerror or problem}\n")
        return FAILED
    except asyncio.CancelledError:
        return 128 + signal.SIGINT


def _place(folder: Path, option: str) -> Path:
    """The folder, made and with room in it; SimulatorError says so now and not after the recording."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as problem:
        raise SimulatorError(f"{folder}: nothing can be written there ({problem.strerror}); name another folder with {option}") from problem
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise SimulatorError(f"{folder}: {free // 2**20} MiB are free, expected {ROOM_BYTES // 2**20}; name another folder with {option}")
    return folder


def _wrong(options: argparse.Namespace) -> str:
    if len(options.nonce) > lettering.MAX_CHARACTERS or not options.nonce.isprintable():
        return f"--nonce has {len(options.nonce)} characters; expected at most {lettering.MAX_CHARACTERS}, all of them printable"
    if not 1 <= options.seconds <= 86_400:
        return f"--seconds is {options.seconds}; expected 1 to 86400"
    if not 1 <= options.recorders <= 16:
        return f"--recorders is {options.recorders}; expected 1 to 16"
    return ""


async def _stay(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run until Ctrl-C, or until a process ends by itself."""
    data = _place((options.data or ROOT / "demo").resolve(), "--data")
    asked = _asked()
    say(f"starting in {data} …")
    made = units(data / "media", options.recorders, generated=options.generated)
    async with Stage(data, made) as stage:
        recorders = sorted(stage.recorders, key=lambda recorder: recorder.device)
        if options.json:
            answer = {
                "console": stage.console,
                "recorders": {recorder.device: recorder.address for recorder in recorders},
                "keys": str(stage.keys),
                "data": str(data),
            }
            print(json.dumps(answer, ensure_ascii=False), flush=True)  # noqa: T201 — the answer
        say(f"\n  console            {stage.console}")
        for recorder in recorders:
            say(f"  {recorder.device:<18} {recorder.address}")
        say(f"\n  keys for verify    {stage.keys}\n  data               {data}\n\nCtrl-C ends it.")
        ended = asyncio.create_task(stage.ended())
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise SimulatorError(ended.result())
        ended.cancel()
        say("\nending …")
    say("ended.")
    return 0


async def _once(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """One recording, verified. Data that nobody asked to keep goes when all went well."""
    asked = _asked()
    out = _place((options.out or Path("out")).resolve(), "--out")
    data = _place(options.data.resolve() if options.data else Path(tempfile.mkdtemp(prefix="zhilu-once-")), "--data")
    say(f"starting in {data} …")
    made = units(data / "media", 1, generated=options.generated, text=options.nonce)
    async with Stage(data, made) as stage:
        story = asyncio.create_task(Story(stage, stage.recorders[0], say).tell(options.seconds, out))
        ended, waiting = asyncio.create_task(stage.ended()), asyncio.create_task(asked.wait())
        await asyncio.wait({story, ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not story.done():
            story.cancel()
            raise SimulatorError(ended.result() if ended.done() else f"ended before the recording was stored; its data is in {data}")
        ended.cancel()
        waiting.cancel()
        told = story.result()
        say("ending …")
    if options.data is None and told.exit_status == 0:
        shutil.rmtree(data)
    _print(told.answer, as_json=options.json)
    return told.exit_status


def _asked() -> asyncio.Event:
    """Set by Ctrl-C and SIGTERM."""
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False), flush=True)  # noqa: T201 — the answer
    else:
        for name, value in answer.items():
            print(f"{name:<20} {value}")  # noqa: T201 — the answer


def _aloud(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — for whoever watches


def _silent(text: str) -> None:
    """Nobody watches."""


if __name__ == "__main__":
    sys.exit(main())

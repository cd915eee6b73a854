"""One recording from the button to a verified package, with nobody watching: `zhilu demo --once`.

The story: press, mark, press, wait for the server's receipt, take the package, verify it with the deployment's keys. Every
wait has an end; what did not come in time is named. The three times count from the end of the press that stopped:

    durable    the device's signed checkpoint over the `stop` line is on its disk
    cosigned   the server's cosignature over it is back on the device
    stored     the ledger's receipt for the whole recording is on the device
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from agent.core.trigger import LONG_MS
from server.evidence.verify import verify
from simulators.errors import StoryError
from simulators.host import SHORT_S
from simulators.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulators.stage import Recorder, Stage

WITHIN_S = 180.0
"""For each thing that is waited for. Two busy cores have been seen to need 20 s."""
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Told:
    """The answer, and whether the package is what it should be."""

    answer: dict[str, Any]
    exit_status: int


class Story:
    """Plays the officer on one recorder of a stage; `say` hears each step."""

    def __init__(self, stage: Stage, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._stage, self._recorder, self._say = stage, recorder, say
        n = json.loads((recorder.folder / "enrolment.json").read_text("utf-8"))["n"]
        self._progress = Progress(recorder.folder, n)
        self._progress = Progress(recorder.folder, n, after=self._progress.size())

    async def tell(self, seconds: float, out: Path) -> Told:
        """Record for so long, and bring the package into `out`."""
        async with httpx.AsyncClient(base_url=self._recorder.address, timeout=WITHIN_S) as page:
            await self._wait("the recorder to be ready", lambda: _ready(page))
            await self._wait("the server to cosign its first lines", self._progress.cosigned)
            recording, pressed, finger = await self._record(page, seconds)
            times = await self._arrive(recording, pressed)
            await finger
        self._say("stored; taking the package")
        package = await self._package(recording, out)
        return self._verified(recording, package, out, times)

    async def _record(self, page: httpx.AsyncClient, seconds: float) -> tuple[str, float, asyncio.Task[None]]:
        """Press, mark in the middle, press; the recording, when the last press was long enough, and the finger that still holds."""
        await _gesture(page, "start")
        start = await self._wait("the recording to begin", lambda: self._progress.line("start"))
        began = time.monotonic()
        recording = str(start.members["recording"])
        self._say(f"recording {recording}")
        await asyncio.sleep(seconds / 2)
        await _gesture(page, "mark")
        await asyncio.sleep(max(began + seconds - time.monotonic(), 0))
        state = await page.get("/state")
        held = LONG_MS / 1_000 if state.json()["gestures"]["stop"].endswith("long") else SHORT_S
        pressed = time.monotonic() + held
        return recording, pressed, asyncio.create_task(_gesture(page, "stop"))

    async def _arrive(self, recording: str, pressed: float) -> dict[str, float]:
        """Seconds from the press until the stop line is durable, cosigned, and the recording stored."""
        stop = await self._wait("the recording to end", lambda: self._progress.line("stop", recording=recording))
        reached: dict[str, float] = {}
        for name, arrived in (
            ("durable", lambda: self._progress.durable() > stop.index),
            ("cosigned", lambda: self._progress.cosigned() > stop.index),
            ("stored", lambda: self._progress.stored(recording)),
        ):
            await self._wait(f"the recording to be {name}", arrived)
            reached[f"seconds_to_{name}"] = round(max(time.monotonic() - pressed, 0.0), 3)
        return reached

    async def _package(self, recording: str, out: Path) -> Path:
        """The bag as a folder, as the console hands it out."""
        archive = _place(out, recording)
        async with (
            httpx.AsyncClient(base_url=self._stage.console, timeout=WITHIN_S) as console,
            console.stream("POST", f"/api/v1/recordings/{recording}/package") as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise StoryError(f"the server gave no package of {recording}: {(await answer.aread()).decode('utf-8', 'replace')}")
            with archive.open("wb") as file:
                async for piece in answer.aiter_bytes():
                    file.write(piece)
        return _unpacked(archive, out / recording)

    def _verified(self, recording: str, package: Path, out: Path, times: dict[str, float]) -> Told:
        keys = out / "keys.txt"
        shutil.copyfile(self._stage.keys, keys)
        report = verify(str(package), [str(keys)])
        facts = report.as_json()
        for check in facts["checks"]:
            self._say(f"  {'ok ' if check['ok'] else '!! '} {check['name']}: {check['says']}")
        answer = {
            "recording": recording,
            "package": str(package),
            "keys": str(keys),
            "verdict": facts["verdict"],
            **{name: facts.get(name) for name in ("lines", "fragments", "bytes", "not_before", "not_after")},
            **times,
        }
        return Told(answer, report.exit_status())

    async def _wait(self, what: str, look: Callable[[], Any]) -> Any:
        """What `look` gives (or will give) once it is true; StoryError when it is not in time."""
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            found = look()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(LOOK_S)
        raise StoryError(
            f"waited {WITHIN_S:.0f} s for {what}; look into {self._stage.data / 'logs'} and {self._recorder.folder / 'agent.log'}"
        )


def _place(out: Path, recording: str) -> Path:
    """Where the archive goes; StoryError where a package of that recording is already."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / recording).exists():
        raise StoryError(f"{out / recording} is there already; give another --out")
    return out / f".{recording}.zip"


def _unpacked(archive: Path, target: Path) -> Path:
    """The folder that the archive holds."""
    with zipfile.ZipFile(archive) as bag:
        bag.extractall(target.parent)
    archive.unlink()
    if not target.is_dir():
        raise StoryError(f"the package holds no folder {target.name}; see {target.parent}")
    return target


async def _ready(page: httpx.AsyncClient) -> bool:
    """The lamp says so, and picture and sound run: what is recorded from the first moment on is whole."""
    state = (await page.get("/state")).json()
    return bool(state["lamp"] == "ready" and {"camera", "microphone"} <= set(state["running"]))


async def _gesture(page: httpx.AsyncClient, action: str) -> None:
    answer = await page.post(f"/gesture/{action}")
    if answer.status_code != httpx.codes.OK:
        raise StoryError(f"the recorder's page refused the press for {action}: {answer.text}")

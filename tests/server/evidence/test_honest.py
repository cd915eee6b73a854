"""No false alarm: honest recordings of any shape come out intact, an excerpt, or rightly incomplete."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.evidence import package
from server.evidence.errors import ExportError
from server.evidence.excerpt import Stretch
from server.evidence.package import Wanted
from server.evidence.text import as_text
from server.evidence.verify import verify
from tests.server.evidence.conftest import RECORDING
from tests.server.evidence.world import MEDIA, STILL, Device, World

EVENTS = st.sampled_from(
    ["second", "second", "second", "second", "fix", "mark", "still", "gap", "beacon", "clock", "camera", "cosign", "boot"]
)


class Teller:
    """Writes a recording as an honest device does, an event at a time."""

    def __init__(self, device: Device):
        self.device, self.ms, self.tracks, self.stills = device, 0, 0, 0
        self.spans: list[tuple[int, int]] = []
        device.start(RECORDING)
        self.begin_track()

    def begin_track(self) -> None:
        self.tracks += 1
        self.track = "front" if self.tracks == 1 else f"front-{self.tracks}"
        self.device.track(RECORDING, self.track)
        self.device.fragment(RECORDING, MEDIA[0], self.ms, 0, self.track)

    def tell(self, event: str) -> None:
        device = self.device
        device.up += 500
        device.world.now_ms += 500
        if event == "second":
            device.fragment(RECORDING, MEDIA[1 + self.ms // 1000 % 8], self.ms, 1000, self.track)
            self.spans.append((self.ms, 1000))
            self.ms += 1000
        elif event == "fix":
            device.fix(RECORDING, self.ms)
        elif event == "mark":
            device.line("mark", [("label", "重点")], RECORDING)
        elif event == "still":
            self.stills += 1
            device.track(RECORDING, f"still-{self.stills}", "image/jpeg")
            device.fragment(RECORDING, STILL, self.ms, 0, f"still-{self.stills}")
            self.spans.append((self.ms, 0))
        elif event == "gap":
            device.gap(RECORDING, self.ms, 700, track=self.track)
            self.ms += 700
        elif event == "camera":
            device.gap(RECORDING, self.ms, 2000, track=self.track)
            self.ms += 2000
            self.begin_track()
        elif event == "beacon":
            device.beacon()
        elif event == "clock":
            device.clock(RECORDING)
        elif event == "boot":
            device.line("power", [("event", "low")], RECORDING)
        else:
            device.cosign()
            device.world.anchor()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=40), st.booleans(), st.booleans(), st.sets(st.integers(0, 8), max_size=2), st.booleans(), st.data())
def test_honest_packages_are_never_called_tampered(tmp_path_factory, events, stopped, anchored, lost, excerpt, data):
    world = World()
    device = world.device("DSJ-0012345")
    device.beacon()
    teller = Teller(device)
    for event in events:
        teller.tell(event)
    if stopped:
        device.stop(RECORDING)
    device.cosign()
    if anchored:
        world.anchor()
    world.custody_line("start", device.name, RECORDING)
    offsets = sorted(device.media[RECORDING, "front"])
    gone = {("front", offsets[i]) for i in lost if i < len(offsets)}
    world.missing = {(RECORDING, track, offset) for track, offset in gone}
    stretch = None
    if excerpt and teller.ms:
        first = data.draw(st.integers(0, teller.ms - 1))
        stretch = Stretch(first, data.draw(st.integers(first + 1, teller.ms + 1)))
    world.custody_line("export", device.name, RECORDING, **({"from": stretch.first_ms, "to": stretch.end_ms} if stretch else {}))
    folder = Path(tmp_path_factory.mktemp("honest")) / "package"
    wanted = Wanted(device.origin, RECORDING, device.starts[RECORDING], stretch)
    if stretch is not None and not any(stretch.meets(*span) for span in teller.spans):
        with pytest.raises(ExportError, match="no media between"):
            package.make(world, wanted)
        return
    package.make(world, wanted).write_folder(folder)
    report = verify(str(folder), world.trusted)
    shown = sum(f.figures.get("missing", 0) for f in report.checks if f.name == "fragments")
    expected = "incomplete" if not stopped or shown else "excerpt" if stretch else "intact"
    assert report.verdict == expected, as_text(report)
    if stretch is None:
        assert shown == len(gone)

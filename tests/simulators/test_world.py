"""The socket between a host and its devices: orders in, reports out, nonsense refused, a dead end noticed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
import threading
from queue import Queue

import pytest

from hal.contracts import Signal
from hal.drivers.linux import SystemClock
from hal.errors import DeviceFault, DeviceMissing
from simulators.battery import Battery
from simulators.buttons import Buttons
from simulators.camera import PatternCamera
from simulators.errors import ScriptError, WorldError
from simulators.indicator import Indicator
from simulators.world import MAX_LINE_BYTES, Link, World, pack, unpack

GENEROUS_S = 30


class Host:
    """A world in a thread with a loop of its own; `heard` is what devices reported."""

    def __init__(self, path):
        self.path = path
        self.heard: Queue = Queue()
        self.world = World(path, lambda role, what, members: self.heard.put((role, what, members)))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.run(self.world.start())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(GENEROUS_S)

    def order(self, role, verb, **members):
        async def give():
            return self.world.order(role, verb, **members)

        return self.run(give())

    def next(self):
        return self.heard.get(timeout=GENEROUS_S)

    def close(self):
        self.run(self.world.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(GENEROUS_S)
        self.loop.close()


def drain(device):
    """Read until it fails."""
    for _ in range(1_000):
        device.read(1.0)


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path / "world.sock")
    yield host
    host.close()


def test_a_finger_in_the_browser_is_an_edge_on_the_device(host, clock):
    buttons = Buttons(clock, world=str(host.path))
    assert host.next() == ("button", "here", {})
    before_us = SystemClock().up_us()
    assert host.order("button", "edge", button="record", down=True) == 1
    given_us = SystemClock().up_us()
    edge = buttons.read(GENEROUS_S)
    assert edge is not None
    assert (edge.button, edge.down) == ("record", True)
    assert before_us <= edge.up_us <= given_us, "when the finger moved, not when a busy thread came to read of it"
    assert buttons.read(0) is None
    buttons.close()
    assert buttons.read(GENEROUS_S) is None


def test_orders_that_came_together_are_taken_one_by_one(host, clock):
    buttons = Buttons(clock, world=str(host.path))
    host.next()
    for number in range(200):
        host.order("button", "edge", button=f"b{number}", down=True)
    edges = [buttons.read(GENEROUS_S) for _ in range(200)]
    assert [edge.button for edge in edges if edge is not None] == [f"b{number}" for number in range(200)]
    buttons.close()


def test_the_lamp_is_seen_by_the_host(host, clock):
    indicator = Indicator(clock, world=str(host.path))
    host.next()
    indicator.show(Signal("recording", "start", "short", ("REC 00:01", "电量 80%")))
    assert host.next() == (
        "indicator",
        "signal",
        {"lamp": "recording", "sound": "start", "vibration": "short", "screen": ["REC 00:01", "电量 80%"]},
    )
    indicator.close()


def test_a_lasting_state_is_repeated_to_a_device_that_comes_later(host, clock):
    host.order("power", "set", percent=30, charging=False)
    host.order("power", "set", percent=12, charging=True)
    battery = Battery(clock, world=str(host.path))
    host.next()
    while battery.read().percent != 12:
        pass  # the order is on its way; pytest's timeout is the limit
    assert battery.read().charging is True
    battery.close()


def test_an_edge_is_not_repeated(host, clock):
    assert host.order("button", "edge", button="record", down=True) == 0
    buttons = Buttons(clock, world=str(host.path))
    host.next()
    host.order("button", "edge", button="mark", down=True)
    edge = buttons.read(GENEROUS_S)
    assert edge is not None
    assert edge.button == "mark"
    buttons.close()


def test_an_order_that_there_is_none_of_reaches_nobody(host):
    with pytest.raises(ScriptError, match="there is no such order"):
        host.order("camera", "explode")


def test_a_device_without_a_world_says_what_to_start(clock, tmp_path):
    with pytest.raises(DeviceMissing, match=r"button: no simulated world listens at .*start it with `zhilu sim recorder`"):
        Buttons(clock, world=str(tmp_path / "none.sock"))


def test_a_host_that_goes_is_a_fault_not_a_silence(tmp_path, clock):
    host = Host(tmp_path / "world.sock")
    camera = PatternCamera(clock=clock, world=str(host.path))
    camera.start(None)
    host.next()
    camera.read(1.0)
    host.close()
    with pytest.raises(DeviceFault, match=r"camera: the simulated world at .* is gone"):
        drain(camera)
    camera.close()


def test_the_host_hears_when_the_picture_runs(host, clock):
    camera = PatternCamera(clock=clock, world=str(host.path))
    assert host.next() == ("camera", "here", {})
    camera.start(None)
    camera.read(1.0)
    assert host.next() == ("camera", "running", {})
    camera.close()


def test_the_socket_is_for_its_owner_only_and_goes_with_the_host(tmp_path):
    host = Host(tmp_path / "world.sock")
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o600
    host.close()
    assert not host.path.exists()


def test_a_path_that_is_too_long_for_a_socket_works(tmp_path, clock):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    host = Host(deep / "world.sock")
    buttons = Buttons(clock, world=str(host.path))
    assert host.next()[0] == "button"
    buttons.close()
    host.close()


def test_a_socket_left_behind_is_replaced(tmp_path, clock):
    path = tmp_path / "world.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    host = Host(path)
    Buttons(clock, world=str(path)).close()
    assert host.next()[0] == "button"
    host.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"from":"toaster","is":"here"}\n',
        b'{"from":"button","is":"signal"}\n',
        b"[" * 4_000 + b"\n",
        b"x" * (MAX_LINE_BYTES * 3),
    ],
)
def test_nonsense_from_a_device_ends_its_connection_and_nothing_else(host, clock, sent):
    wild = socket.socket(socket.AF_UNIX)
    wild.settimeout(GENEROUS_S)
    wild.connect(str(host.path))
    wild.sendall(sent)
    with contextlib.suppress(ConnectionResetError):  # cut off with bytes unread, the kernel says so by a reset
        assert wild.recv(1) == b""
    wild.close()
    good = Buttons(clock, world=str(host.path))
    assert host.next()[:2] == ("button", "here")
    assert host.world.refused == 1
    good.close()


@pytest.mark.parametrize("sent", [b"{}\n", b"[\n", b'{"to":"button","do":"explode"}\n', b"y" * (2 * MAX_LINE_BYTES)])
def test_nonsense_from_the_host_is_a_fault(tmp_path, clock, sent):
    path = tmp_path / "world.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        buttons = Buttons(clock, world=str(path))
        wild, _ = listening.accept()
        with wild:
            wild.sendall(sent)
            with pytest.raises(DeviceFault, match=r"sent nonsense|without an end"):
                drain(buttons)
        buttons.close()


def test_lines_have_a_limit_both_ways():
    with pytest.raises(WorldError, match="expected at most 4096"):
        pack({"x": "y" * MAX_LINE_BYTES})
    with pytest.raises(WorldError, match="expected at most 4096"):
        unpack(json.dumps({"x": "y" * MAX_LINE_BYTES}).encode())
    assert unpack(pack({"lamp": "警报"})) == {"lamp": "警报"}


def test_a_line_is_read_whole_however_it_is_cut(tmp_path, clock):
    path = tmp_path / "world.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        link = Link("button", str(path))
        wild, _ = listening.accept()
        line = pack({"to": "button", "do": "edge", "button": "记录", "down": True})
        with wild:
            for place in range(len(line) - 1):
                wild.sendall(line[place : place + 1])
                assert link.take(GENEROUS_S) is None
            wild.sendall(line[-1:])
            assert link.take(GENEROUS_S) == {"to": "button", "do": "edge", "button": "记录", "down": True}
        link.close()

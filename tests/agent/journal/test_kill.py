"""A recorder that is killed in the middle of its appends, by a real signal, and started again on the real disk."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from hal.drivers import linux

WRITER = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("device", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["device"] = module
spec.loader.exec_module(module)
device = module.Device(Path(sys.argv[2]), module.linux.Files(), int(sys.argv[3]))
device.start()
recording, seq = device.record(0), 1
while True:
    with device.scribe.batch():
        device.fragment(recording, "front", seq)
        device.scribe.sense(seq, 1)
    seq += 1
    print(device.journal.size, device.journal.checkpoint.splitlines()[2], flush=True)
"""


def test_killed_again_and_again(tmp_path, make, judges):
    """What was said to be durable is there after every kill, and each of the interrupted recordings says that it was."""
    chance = random.Random(5)
    promised: dict[int, str] = {}
    kills = 6
    for number in range(kills):
        command = [sys.executable, "-c", WRITER, Path(__file__).with_name("conftest.py"), tmp_path, str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randint(1, 40)):
                size, root = writer.stdout.readline().split()
                promised[int(size)] = root
            writer.send_signal(signal.SIGKILL)
            for row in writer.stdout:  # what it said before the signal came counts too
                if row.endswith("\n"):
                    size, root = row.split()
                    promised[int(size)] = root
        assert writer.returncode == -signal.SIGKILL
    device = make.Device(tmp_path, linux.Files())
    device.start()
    judges.whole(device.journal)
    lines = device.journal.lines(0, device.journal.size)
    for end, promise in promised.items():
        assert judges.checkpoint(device.journal.checkpoint_at(end))[0] == end
        assert device.journal.checkpoint_at(end).splitlines()[2] == promise
        assert device.journal.root_at(end) == judges.root(lines[:end])
    stops = [json.loads(line) for line in lines if b'"kind":"stop"' in line]
    assert [stop["trigger"] for stop in stops] == ["power"] * kills
    assert [boot["boot"] for boot in device.of("boot")] == list(range(1, kills + 2))

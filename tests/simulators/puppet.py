"""A very small agent for the host's own tests: the lamp follows the record button, over the real board and drivers.

`python -m tests.simulators.puppet --settings FILE`; ends on SIGTERM with status 0, and on the button `die` with status 3.
"""

from __future__ import annotations

import signal
import sys
import tomllib
from pathlib import Path

from hal.board import open_board
from hal.contracts import Signal


def main():
    tables = tomllib.loads(Path(sys.argv[-1]).read_text())["board"]
    board = open_board(tables)
    assert board.indicator is not None
    assert board.button is not None
    assert board.power is not None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    board.indicator.show(Signal("ready", screen=("READY", "battery 100 %")))
    while True:
        edge = board.button.read(3600)
        if edge is None or edge.button == "die":
            sys.exit(3)
        power = board.power.read()
        lamp, sound = ("recording", "long") if edge.down else ("ready", "")
        board.indicator.show(Signal(lamp, sound=sound, screen=("REC 00:00:01" if edge.down else "READY", f"battery {power.percent} %")))


main()

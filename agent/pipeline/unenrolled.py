"""A device without an identity: its lamp says so, every press is answered by an alarm, and nothing is recorded.

Before an enrolment there is no origin, so no journal, and a recording that nobody could vouch for is not begun
(docs/evidence-format.md, section 2). The agent goes on by itself once the enrolment is there.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from agent.pipeline.signals import Glance, signal
from hal.errors import HalError

if TYPE_CHECKING:
    from pathlib import Path

    from hal.board import Board

log = logging.getLogger(__name__)

LOOK_S = 0.5


def wait(board: Board, enrolment: Path, why: str, asked: threading.Event) -> bool:
    """Show it until there is an enrolment (True) or the end is asked for (False)."""
    log.error("not enrolled", extra={"why": why})
    _show(board, "")
    while not asked.is_set():
        if enrolment.exists():
            return True
        if _pressed(board, asked):
            _show(board, "alarm")
    return False


def _pressed(board: Board, asked: threading.Event) -> bool:
    if board.button is None:
        asked.wait(LOOK_S)
        return False
    try:
        edge = board.button.read(LOOK_S)
    except HalError:
        asked.wait(LOOK_S)
        return False
    return edge is not None and edge.down


def _show(board: Board, happened: str) -> None:
    if board.indicator is None:
        return
    try:
        board.indicator.show(signal(Glance(enrolled=False), happened))
    except HalError as error:
        log.warning("the indicator does not work", extra={"why": str(error)})

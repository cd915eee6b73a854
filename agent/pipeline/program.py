"""What `agent run` and `agent check` do, once the settings are read and the packages are known to be ours."""

from __future__ import annotations

import logging
import sys
import time
from threading import Event

from agent import health, supervisor
from agent.config import Settings
from agent.errors import AgentError, NotEnrolled
from agent.pipeline import enrolment, unenrolled
from agent.pipeline.wiring import Pipeline
from hal.board import Board, open_board
from hal.contracts import Signal

log = logging.getLogger(__name__)

ALARM = "short-short-short"


def run(settings: Settings) -> int:
    """Record until asked to end; the exit status."""
    asked = supervisor.listen()
    while True:
        board = open_board(settings.board_tables())
        try:
            mine = enrolment.load(settings.state)
        except NotEnrolled as refusal:
            try:
                if not unenrolled.wait(board, settings.state / enrolment.NAME, str(refusal), asked):
                    return 0
            finally:
                board.close()
            continue
        status = _record(settings, mine, board, asked)
        if status != supervisor.AGAIN:
            return status


def _record(settings: Settings, mine: enrolment.Enrolment, board: Board, asked: Event) -> int:
    began = time.monotonic()
    try:
        pipeline = Pipeline(settings, mine, board)
    except AgentError as error:
        if board.indicator is not None:
            board.indicator.show(Signal("alarm", ALARM, ALARM, ("ALARM", str(error))))
        raise
    log.info("recovered", extra={"ms": int((time.monotonic() - began) * 1_000), "lines": pipeline.evidence.scribe.journal.size})
    return supervisor.run(pipeline, asked)


def check(settings: Settings) -> int:
    """Print a line for each role; 1 when one that the settings name does not work."""
    tables = settings.board_tables()
    board = open_board(tables)
    try:
        found = health.check(board, tables)
    finally:
        board.close()
    for role, works, said in found:
        sys.stdout.write(f"{'ok  ' if works else 'FAIL'}  {role:<10}  {said}\n")
    return 0 if all(works for _, works, _ in found) else 1

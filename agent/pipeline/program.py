"""What `agent run` and `agent check` do, once the settings are read and the packages are known to be ours."""

from __future__ import annotations

import logging
import sys
import time
from threading import Event

from agent import health, supervisor
from agent.config import Settings
from agent.errors import AgentError, NotEnrolled
from agent.pipeline import alone, enrolment, unenrolled
from agent.pipeline.wiring import Pipeline
from hal.board import Board, open_board
from hal.contracts import Signal

log = logging.getLogger(__name__)

ALARM = "short-short-short"
WORDS = {True: "ok", False: "FAIL", None: "none"}
"""How `agent check` says whether a role works."""


def run(settings: Settings) -> int:
    """Record until asked to end; the exit status."""
    asked = supervisor.listen()
    with alone.on(settings.state):
        return _run(settings, asked)


def _run(settings: Settings, asked: Event) -> int:
    continues: str | None = None
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
        again = _record(settings, mine, board, asked, continues)
        if again is None:
            return 0
        continues = again.continues


def _record(settings: Settings, mine: enrolment.Enrolment, board: Board, asked: Event, continues: str | None) -> supervisor.Again | None:
    began = time.monotonic()
    try:
        pipeline = Pipeline(settings, mine, board, continues=continues)
    except AgentError as error:
        if board.indicator is not None:
            board.indicator.show(Signal("alarm", ALARM, ALARM, ("ALARM", str(error))))
        raise
    log.info("recovered", extra={"ms": int((time.monotonic() - began) * 1_000), "lines": pipeline.evidence.scribe.journal.size})
    return supervisor.run(pipeline, asked)


def check(settings: Settings) -> int:
    """Print a line for each role; 1 when one that the settings name does not work, or when there is nothing to record with."""
    tables = settings.board_tables()
    board = open_board(tables)
    try:
        found = health.check(board, tables)
    finally:
        board.close()
    for role, works, said in found:
        sys.stdout.write(f"{WORDS[works]:<4}  {role:<10}  {said}\n")
    if all(works is None for role, works, _ in found if role in ("camera", "microphone")):
        sys.stdout.write("FAIL  recorder    nothing can be recorded: name a camera or a microphone in the settings, [board.camera]\n")
        return 1
    return 1 if any(works is False for _, works, _ in found) else 0

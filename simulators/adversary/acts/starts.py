"""What is done to a card between two starts, and what the device's own recovery and its handshake make of it; then the audit."""

from __future__ import annotations

import shutil
from typing import Any

from simulators.adversary.acts import cards
from simulators.adversary.card import CardForger
from simulators.adversary.genuine import MAIN
from simulators.adversary.table import CARD, Rows

act = Rows(CARD, MAIN)
TAMPERED, INCOMPLETE, INTACT = "tampered", "incomplete", "intact"
ALARM = "the device found its own journal or case altered: {event}"


@act("card edited in a reader between two starts: journal", TAMPERED, ALARM, start="tamper: root-mismatch")
def a_line_edited_and_started(f: CardForger) -> dict[str, Any]:
    """Behind the cosigned size: recovery goes back to that and keeps the rest aside; the tamper line holds what it gave up."""
    start = f.of_recording("unseen")[0]
    f.write_lines(f.change(start, lambda line: line.replace(b'"trigger":"button"', b'"trigger":"remote"')))
    f.restart()
    return {"event": "root-mismatch"}


@act("card edited in a reader between two starts: both", TAMPERED, ALARM, start="tamper: root-mismatch")
def picture_and_line_edited_and_started(f: CardForger) -> dict[str, Any]:
    """The same with bytes that fit to the line."""
    cards._both(f, "unseen")  # noqa: SLF001 — the same act, and a start behind it
    f.restart()
    return {"event": "root-mismatch"}


@act("card edited in a reader between two starts: media", TAMPERED, cards.THE_FRAGMENT, start="tamper: none")
def a_picture_edited_and_started(f: CardForger) -> dict[str, Any]:
    """A start does not hash years of media: the audit does, and the fragment is named."""
    named = cards._flipped(f, "whole")  # noqa: SLF001
    f.restart()
    return named


@act("card edited in a reader between two starts: checkpoint file removed", TAMPERED, ALARM, start="tamper: checkpoints-missing")
def the_checkpoint_file_removed_and_started(f: CardForger) -> dict[str, Any]:
    """They were durable before the server saw them: the start raises an alarm."""
    (f.journal / "checkpoints").unlink()
    f.restart()
    return {"event": "checkpoints-missing"}


@act("tail cut off", TAMPERED, ALARM, start="tamper: root-mismatch")
def the_newest_lines_cut_off_and_started(f: CardForger) -> dict[str, Any]:
    """The checkpoint over them is there, they are not."""
    f.write_lines(f.lines[: f.of_recording("unseen")[0]])
    f.restart()
    return {"event": "root-mismatch"}


@act("a card rolled back to an older copy", INCOMPLETE, "recording {recording} of ", start="tamper: none")
def rolled_back_and_met_the_server(f: CardForger) -> dict[str, Any]:
    """Consistent in itself: the start finds nothing. The server gives the device its own lines back, and what is missing is named."""
    shutil.rmtree(f.folder)
    shutil.copytree(f.material.card("older"), f.folder)
    f.visit()
    return {"recording": f.material.recordings["whole"]}


@act("a card rolled back to an older copy", INCOMPLETE, "lines were cosigned", start='"cosigned"')
def rolled_back_but_for_the_cosigned_note_and_started(f: CardForger) -> None:
    """The boot line says that more was cosigned than is here."""
    newest = f.cosigned
    shutil.rmtree(f.folder)
    shutil.copytree(f.material.card("older"), f.folder)
    (f.journal / "cosigned").write_text(newest, encoding="utf-8")
    f.restart()

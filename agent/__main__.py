"""The recorder's program: `python -m agent run --settings FILE`, `python -m agent check --settings FILE`.

Exit status: 0 after an orderly end, 1 when the agent can't be started or a role does not work, 2 for wrong usage or settings.
Log lines are JSON objects on standard error, one each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.errors import AgentError, SettingsError

log = logging.getLogger("agent")

ROOT = Path(__file__).resolve().parent.parent
OURS = ("agent", "hal")
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Members that every log record has; anything else was given as `extra`."""


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        members: dict[str, Any] = {
            "at": int(record.created * 1_000),
            "level": record.levelname.lower(),
            "where": record.name,
            "what": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in PLAIN},
        }
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False, default=str)


def log_to_stderr(*, verbose: bool) -> None:
    """Structured lines for everything of ours, warnings of libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)


def check_packages() -> None:
    """AgentError when `agent` or `hal` is somebody else's: the names are generic, and another one would be imported silently."""
    for name in OURS:
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found and found.origin else None
        if origin != ROOT / name / "__init__.py":
            raise AgentError(f"package {name}: expected it in {ROOT}, got {origin}; start in an environment of its own")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="zhilu agent", description="The recorder's own program.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "record until SIGTERM"), ("check", "say what works of the hardware, a line each")):
        command = commands.add_parser(name, help=text, description=text, epilog=f"example: zhilu agent {name} --settings settings.toml")
        command.add_argument("--settings", type=Path, required=True, metavar="FILE", help="the device's settings file (TOML)")
        command.add_argument("--verbose", action="store_true", help="log what every daemon does")
    given = parser.parse_args(arguments)
    log_to_stderr(verbose=given.verbose)
    try:
        check_packages()
        return _run(given)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except AgentError as error:
        log.error("can't go on: %s", error)  # noqa: TRY400 — the sentence says it all
        return 1


def _run(given: argparse.Namespace) -> int:
    """Import only now what might have been somebody else's."""
    from agent import config
    from agent.pipeline import program
    from hal.errors import HalError

    settings = config.load(given.settings)
    try:
        return program.run(settings) if given.command == "run" else program.check(settings)
    except HalError as error:
        raise AgentError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())

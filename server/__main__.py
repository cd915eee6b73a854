"""`python -m server run --settings FILE`: run the server until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from server import config
from server.errors import ServerError

USAGE = 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="zhilu server")
    commands = made.add_subparsers(dest="command", required=True)
    example = "example: zhilu server run --settings deployment/server/settings.toml"
    run = commands.add_parser("run", help="run the server until SIGTERM; prints its ports as one line of JSON", epilog=example)
    run.add_argument("--settings", type=Path, required=True, metavar="FILE", help="settings.toml in the server's data folder")
    run.add_argument("--log", default="info", choices=["debug", "info", "warning", "error"], help="how much is logged to standard error")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is returned."""
    options = parser().parse_args(argv)
    logging.basicConfig(level=options.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = config.load(options.settings)
        from server import run

        run.run(settings)
    except ServerError as e:
        sys.stderr.write(f"server: {e}\n")
        return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Brings the catalogue's schema up to date when the server starts, and remembers whether it is filled already.

A new catalogue is `UNFILLED` (its `PRAGMA user_version`) until all journals were read and all stored bytes hashed: a server that
dies before that begins again, else it would wait for ever for bytes that it holds.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from server.database import Transaction
from server.errors import StorageError

UNFILLED = 1


def upgrade(transaction: Transaction) -> bool:
    """Run the steps that are missing, in the writer's transaction; whether the catalogue is still to be filled."""
    sql = "SELECT count(*) FROM sqlite_master WHERE name = 'recording'"
    new = bool(transaction.execute(sql).scalar_one() == 0)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = transaction.connection
    try:
        command.upgrade(config, "head")
    except CommandError as e:
        raise StorageError(f"catalogue.sqlite: {e}; it was written by a newer release, or delete it: it is built again") from e
    if new:
        transaction.execute(f"PRAGMA user_version={UNFILLED}")
    return bool(transaction.execute("PRAGMA user_version").scalar_one() == UNFILLED)


def filled(transaction: Transaction) -> None:
    """Everything that journals and stored bytes say is in the catalogue."""
    transaction.execute("PRAGMA user_version=0")

"""What can go wrong on the server as a whole, and what its databases, keys and files refuse.

ServerError
├── SettingsError     the settings file can't be used: each line says file, line, key, expected and got
├── KeyUnusable       a signing key is missing, readable by others, or of the wrong kind
├── StorageError      a database or a file refuses; nothing of the act was kept
│   ├── Conflict      another writer was faster: the log no longer has the size that was read
│   ├── StorageFull   there is no room left
│   └── Closed        the writer has been closed and takes no more work
├── EnrolmentRefused  an enrolment's file does not hold what an enrolment needs, or contradicts the ledger
├── Unknown           there is no such thing here
└── Ambiguous         an id stands for more than one thing here

What comes over the wire and is not let in is no exception: it is a value with a reason (`server.ingest.reasons`).
"""

from __future__ import annotations


class ServerError(Exception):
    """The server can't do what was asked; the message says which thing, what was expected and what came."""


class SettingsError(ServerError):
    """The settings file can't be used; the message has one line for each thing that is wrong."""


class KeyUnusable(ServerError):
    """A signing key is missing, readable by others, or of the wrong kind."""


class StorageError(ServerError):
    """A database or a file refused; nothing of the act was kept."""


class Conflict(StorageError):
    """Another writer was faster: the log no longer has the size that was read."""


class StorageFull(StorageError):
    """There is no room left for what should be written."""


class Closed(StorageError):
    """The writer has been closed and takes no more work."""


class EnrolmentRefused(ServerError):
    """An enrolment's file does not hold what an enrolment needs, or contradicts the ledger."""


class Unknown(ServerError):
    """There is no such device, recording, track or journal here."""


class Ambiguous(ServerError):
    """An id stands for more than one thing here; the message says how to name one of them."""

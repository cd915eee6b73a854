"""What can't be verified or exported at all, and what stops one check.

EvidenceError
├── NotAPackageError   the path is no package: nothing was checked (exit status 2)
├── UnreadableError    the disk or its rights refuse (exit status 2)
├── TrustError         a key that was given is no key (exit status 2)
├── MisfitError        a file of the package does not follow the format: becomes a finding `tampered`
├── MissingError       a file that the format asks for is not there: becomes a finding `incomplete`
├── ExportError        a package can't be made
└── AuditError         the path is no journal and no store (exit status 2)
"""


class EvidenceError(ValueError):
    """The work could not be begun or finished."""


class NotAPackageError(EvidenceError):
    """The path is neither a folder nor a .zip with a package in it."""


class UnreadableError(EvidenceError):
    """A file could not be read because of the machine, not because of what stands in it."""


class TrustError(EvidenceError):
    """What was given as a key is neither a vkey nor a file of vkeys."""


class MisfitError(EvidenceError):
    """A file does not follow the format; `place` says where."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


class MissingError(EvidenceError):
    """Something that the format asks for is not there; `place` says what."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


class ExportError(EvidenceError):
    """The package can't be made; the message says what is missing."""


class AuditError(EvidenceError):
    """The path is neither a device's state folder nor a server's data folder."""

"""What the core's rules and readers refuse.

CoreError
├── LineError      a journal line is not strict I-JSON, or lacks what its kind needs
├── ProofError     hashes do not lead to the root
├── NoteError      a signed text is malformed, or no known key signed it
├── WireError      a message is not a batch, or a topic or an origin is not ours
├── NmeaError      a receiver's sentence is torn or garbage
├── SessionError   an event that the recording's state does not know
└── CryptoError    a key or a signature is malformed
"""


class CoreError(ValueError):
    """A value from outside does not follow the format; nothing was changed."""


class LineError(CoreError):
    """A journal line is not strict I-JSON (RFC 7493), or lacks what its kind needs."""


class ProofError(CoreError):
    """The given hashes do not lead from the lines to the root (RFC 6962, section 2.1)."""


class NoteError(CoreError):
    """A signed note is malformed, or no known key signed it, or a known key's signature fails."""


class WireError(CoreError):
    """A message does not follow the wire format; `reason` is one of `wire.REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NmeaError(CoreError):
    """A receiver's sentence is torn, too long, or its checksum or a field fails; `reason` is one of `nmea.REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SessionError(CoreError):
    """An event came that the recording's state does not know; the state is unchanged."""


class CryptoError(CoreError):
    """A key or a signature has the wrong length or encoding."""

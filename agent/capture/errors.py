"""What can go wrong between the microphone and a fragment.

CaptureError (AgentError)
├── PictureError   the camera's stream is not H.264 as its decoder configuration says
├── SoundError     the microphone's samples are not what its format says
└── MuxError       the container could not be written; the track ends here and another begins
"""

from __future__ import annotations

from agent.errors import AgentError


class CaptureError(AgentError):
    """Media could not become a fragment; the message says which track, what was expected and what came."""


class PictureError(CaptureError):
    """The camera's stream is not H.264 as its decoder configuration says."""


class SoundError(CaptureError):
    """The microphone's samples are not what its format says, or the encoder refuses them."""


class MuxError(CaptureError):
    """The container could not be written; what was whole before is not touched by it."""

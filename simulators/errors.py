"""What can go wrong in the simulators themselves (a simulated device raises `hal.errors`, as a real one does).

SimulatorError
├── WorldError    a line between a host and its devices is not one
├── ScriptError   a script's step is not one
├── MediaError    a clip, a voice or a font that was asked for is not there
├── ProcessError  a child process did not start, or ended
├── StoryError    the demonstration's recording did not come as far as it should
└── AdversaryError  a forger did not find what he wanted to forge
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Something of the simulated world failed; the message says what and what to do."""


class WorldError(SimulatorError):
    """A line between a host and its devices breaks the protocol."""


class ScriptError(SimulatorError):
    """A step of a script has no meaning."""


class MediaError(SimulatorError):
    """Media that were asked for can't be had here."""


class ProcessError(SimulatorError):
    """A child process did not start or ended unasked."""


class StoryError(SimulatorError):
    """A step of the demonstration's story did not come in time, or came otherwise than told."""


class AdversaryError(SimulatorError):
    """A forger did not find what he wanted to forge: the material or the act is not what it was meant to be."""

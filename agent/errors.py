"""What stops the agent as a whole; a stage's own errors stand in that stage's `errors.py`.

AgentError
├── SettingsError   the settings file can't be used: each line says file, line, key, expected and got
├── NotEnrolled     the state folder holds no enrolment, so there is no journal and no recording
└── Occupied        another agent runs on the state folder, and a journal has one writer
"""

from __future__ import annotations


class AgentError(Exception):
    """The agent can't do what it was started for; the message says what to do."""


class SettingsError(AgentError):
    """The settings file can't be used; the message has one line for each thing that is wrong."""


class NotEnrolled(AgentError):
    """The device has no identity yet: a recording that nobody could vouch for is not begun."""


class Occupied(AgentError):
    """Another agent runs on this state folder; two writers would give the journal two pasts."""

"""What can go wrong in the buffer.

BufferFault (AgentError)
└── IndexFault   the index can't be read or written, and building it again failed too

Nothing is lost by it: the index holds only what the journal and the media say already.
"""

from __future__ import annotations

from agent.errors import AgentError


class BufferFault(AgentError):
    """Something about what waits could not be answered."""


class IndexFault(BufferFault):
    """The index can't be used: the disk refuses it; free space or check the card."""

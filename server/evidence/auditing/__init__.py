"""What an audit looks at: whole journals and whole stores, with the standard library and `agent.core` only."""

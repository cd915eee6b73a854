"""Breaks agent and server on purpose and counts what is lost and what is hidden: `python -m simulators.torture`.

kernel   a disk in memory under the real driver: every write, sync and name is noted, with the line of code that asked for it
cuts     what may be on that disk after the power went at any moment
duty     a scripted duty by the agent's own code: media, lines, marks, receipts, deletions
judge    what must hold after the next start, by code that shares nothing with the agent's
every    every cut of a duty, and every cut of the recovery after it
guard    each sync and each order of two steps, found at run time, taken away: the judge must see it
torn     SQLite's own writes, cut
real     the agent's process on a real file system that is shut down under it
servers  the server's process, killed at its commits, its disk cut
"""

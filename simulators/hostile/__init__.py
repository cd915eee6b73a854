"""Bad networks and forged messages between real processes: agents, broker and server of one deployment, broken on purpose.

arena      the processes, their networks, and what can be done to them
books      what devices hold against what the server holds, byte by byte; what went over the wire twice
stories    what is done to an arena: each fault, each mixture by its seed
forgery    messages that were never meant: signed by others, for others, of old, torn
puppet     a device that we play by hand
siege      a deployment that is told what was never meant, and everything that must be as before afterwards
to_recorder, to_server   the tables of such messages: what is said, and the reason by which it is refused
verdicts   what came of each; messages says them all
impostor   an HTTPS server in the real one's place: it says yes to everything and keeps nothing
__main__   `python -m simulators.hostile`: every story over its seeds, as a table
"""

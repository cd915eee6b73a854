"""A whole deployment in one process, one thread and virtual time: devices, disks, networks, power, broker, server; from one seed.

    agenda     what happens when: events, and tasks that wait without waiting
    chance     a stream of numbers for each thing that is left to chance
    clock      a device's clocks: 1970, jumps, drift        parts      buttons, lamp, battery, receiver
    film       media as small boxes                         capture    the recorder's stand-in over the real rules
    card       a disk that is full, refuses, is read-only, lies; and what becomes of the index file at a cut
    line       a device's network                           broker     messages: late, doubled, lost, forgotten
    link       the agent's broker connection                https      the agent's requests
    machine    what the real pipeline takes from the machine that it runs on
    device     a recorder's life: power on, die, switch off
    writer     the server's database writer without a thread
    server     the server's real parts, killed and started  intake     its HTTP, without HTTP
    world      all of it together
    judge …    what must hold, all the time and in the end
    phrases    what a story may do    acts  how it is done    expect     what it may ask
    scenario   stories as YAML files                        chronicle  stories by chance
    shrink     a story that fails, made short               breaks     rules broken on purpose, for the judges

The agent is the real pipeline with its journal, index, rules and uplink; the server is the real committer, ledger, indexer, media
intake and handshake. Simulated are the things outside: disk, chance, clock, board, capture, broker connection, HTTPS.
"""

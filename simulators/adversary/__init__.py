"""What a forger would do to packages, device folders and server stores, and what the verifier and the audit say to it.

    python -m simulators.adversary --seed N [--only NAME] [--packages N]

device     a recorder's evidence, its journal and its way to the server, step by step in virtual time
recorder   the same with camera and microphone: real pictures and sound through the agent's own recorder
office     the server's own parts over a real data folder, in this process
genuine    the story that makes the material: packages, device folders, a store; what a forger finds
mp4        an editor for fragmented MP4
bag card vault   a forger's hands: on a package, on a device's card, on the server's data folder
acts       the table of what he does: the words of the issue, the verdict, the place that must be named
judge      does one act to a copy of the material and asks the verifier or the audit
honest     packages of any shape that nobody touched: none may be called forged
"""

"""The world outside: cameras, microphones, buttons, lamps, clocks and disks behind small protocols; imports nothing of ours."""

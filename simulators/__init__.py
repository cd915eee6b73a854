"""Virtual devices: everything that a recorder needs from the world outside, real media included, with faults on order."""

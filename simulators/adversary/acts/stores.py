"""What is done to a device folder, judged as it then lies there."""

from simulators.adversary.table import CARD, Rows

act = Rows(CARD)

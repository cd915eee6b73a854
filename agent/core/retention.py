"""Which local media may go, in which order, and which never (evidence-format.md, section 6).

Rules:
- Never: a recording without its stop; one whose stop no cosigned checkpoint covers; one with fragments not yet sent; one
  without a verified receipt. No order, no age and no full disk changes that: then recording stops.
- Unmarked ones go before marked ones, the oldest first. Old is what stands early in the journal: indices only rise.
- Age is counted on the witness's clock alone, from the cosignature over the stop to the newest one. Cosignatures' times never
  go back; the device's wall clock may jump years either way, and a cleaner that believes it deletes the wrong day.
- Age takes unmarked ones only. Marked ones go for want of space and not before.
"""

_SECONDS_A_DAY = 86400


class Held:
    """A recording whose media are on this device.

    `index` is that of its `start` line, counted through all journals of the device, `size` the bytes that its deletion frees,
    `unsent` the fragments that the server does not have yet. `cosigned_s` is the time of the oldest cosignature whose checkpoint
    covers the `stop` line, None without one; `receipt` says that the ledger's `stored` line was proved and compared.
    """

    def __init__(
        self,
        recording: str,
        *,
        index: int,
        size: int,
        marked: bool,
        stopped: bool,
        unsent: int,
        cosigned_s: "int | None",
        receipt: bool,
    ) -> None:
        self.recording = recording
        self.index = index
        self.size = size
        self.marked = marked
        self.stopped = stopped
        self.unsent = unsent
        self.cosigned_s = cosigned_s
        self.receipt = receipt

    def refusal(self) -> str:
        """Why its media may not go; empty where they may."""
        if not self.stopped:
            return "not stopped"
        if self.cosigned_s is None:
            return "stop not cosigned"
        if self.unsent:
            return f"{self.unsent} fragments not sent"
        return "" if self.receipt else "no receipt"


def purgeable(held: "list[Held]", need_bytes: int, keep_days: "int | None" = None, witness_s: int = 0) -> "list[str]":
    """The recordings to purge: those older than `keep_days`, and as many more as free `need_bytes` in all; in the order to go.

    `witness_s` is the time of the newest cosignature that the device holds, 0 without one: then nothing is old. With `keep_days` None age
    takes nothing, with 0 whatever may go is old enough. Fewer bytes than needed come out where the rest may not go.
    """
    free = sorted([one for one in held if not one.refusal()], key=_order)
    chosen = [one for one in free if keep_days is not None and not one.marked and _age_s(one, witness_s) >= keep_days * _SECONDS_A_DAY]
    freed = sum([one.size for one in chosen])
    for one in free:
        if freed < need_bytes and one not in chosen:
            chosen.append(one)
            freed += one.size
    return [one.recording for one in sorted(chosen, key=_order)]


def _age_s(one: Held, witness_s: int) -> int:
    return -1 if one.cosigned_s is None else witness_s - one.cosigned_s


def _order(one: Held) -> "tuple[bool, int]":
    return one.marked, one.index

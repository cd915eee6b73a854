"""What the ring of pre-recorded pictures keeps: the seconds before the press.

Rules:
- It begins at a key frame, always: what comes before one can't be shown.
- It keeps at least the limit where it has that much, and less than one group of pictures more: the last key frame that is
  old enough is the first packet.
- With a limit of 0 it keeps the present picture's group, because a recording can begin nowhere else.

Sound has key frames throughout and follows the pictures; memory and its bound are the ring's own business.
"""

from .errors import CoreError

MAX_LIMIT_US = 120000000
"""120 s: the longest pre-recording that recorders of this kind offer."""

_REORDERED = 16
"""Frames that decoding order can put before an earlier shown one (H.264, A.3.1: at most 16 in the picture buffer)."""


def keep(packets: "list[tuple[int, bool]]", limit_us: int) -> int:
    """The index of the first packet to keep, of packets (`pts_us`, is a key frame) in decoding order.

    It is `len(packets)`, none, where there is no key frame. Looks at no more than what goes, one group and the newest
    frames, so it may be asked at every packet. CoreError when the limit is not 0 to 120 s.
    """
    if not 0 <= limit_us <= MAX_LIMIT_US:
        raise CoreError(f"pre-recording is 0 to {MAX_LIMIT_US} µs, not {limit_us}")
    newest_us = max([pts_us for pts_us, _ in packets[-_REORDERED:]], default=0)
    first = len(packets)
    for index, (pts_us, is_key) in enumerate(packets):
        if is_key:
            if first < len(packets) and pts_us > newest_us - limit_us:
                break
            first = index
    return first

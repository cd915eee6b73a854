"""H.264's two ways of writing a stream, told apart and turned into one: start codes (ITU-T H.264 Annex B).

A camera gives its parameter sets as Annex B or as an avcC box's content (ISO/IEC 14496-15, 5.3.3.1); its packets are then written the
same way. The muxer is given Annex B in both cases, so that there is one path and not two.

Nothing of a picture is decoded here; sizes come from the driver.
"""

from __future__ import annotations

from agent.capture.errors import PictureError

START = b"\0\0\0\1"
_SHORT_START = b"\0\0\1"
_SPS, _PPS = 7, 8
_AVCC_VERSION = 1


class Stream:
    """How one camera writes: `parameters` in Annex B, `codecs` as RFC 6381 says it, and a packet turned into Annex B."""

    def __init__(self, extradata: bytes) -> None:
        """PictureError where there is no SPS or no PPS."""
        if extradata[:1] == bytes([_AVCC_VERSION]):
            self._length_bytes, sets = _avcc(extradata)
        else:
            self._length_bytes, sets = 0, nals(extradata)
        kinds = [nal[0] & 31 for nal in sets if nal]
        if _SPS not in kinds or _PPS not in kinds:
            raise PictureError(f"camera: expected H.264 parameter sets (SPS and PPS), got NAL types {kinds} in {len(extradata)} bytes")
        sps = sets[kinds.index(_SPS)]
        if len(sps) < 4:
            raise PictureError(f"camera: expected an SPS of at least 4 bytes, got {len(sps)}")
        self.parameters = b"".join(START + nal for nal in sets if nal)
        self.codecs = f"avc1.{sps[1:4].hex()}"

    def annex_b(self, data: bytes) -> bytes:
        """The packet with start codes; PictureError where its lengths do not fit its size."""
        if not data:
            raise PictureError("camera: expected a frame, got an empty packet")
        if not self._length_bytes:
            return data
        return b"".join(START + nal for nal in _split(data, self._length_bytes, "frame"))


def nals(data: bytes) -> list[bytes]:
    """The NAL units between start codes, without the zero bytes that may trail them."""
    found = []
    at = data.find(_SHORT_START)
    while at >= 0:
        following = data.find(_SHORT_START, at + 3)
        found.append(data[at + 3 : following if following >= 0 else len(data)].rstrip(b"\0"))
        at = following
    return found


def _avcc(data: bytes) -> tuple[int, list[bytes]]:
    """(bytes of a length, parameter sets) of an AVCDecoderConfigurationRecord."""
    if len(data) < 7:
        raise PictureError(f"camera: expected an avcC of at least 7 bytes, got {len(data)}")
    sets: list[bytes] = []
    at = 5
    for mask in (31, 255):  # the upper bits of the SPS count are reserved
        count = data[at] & mask if at < len(data) else 0
        at += 1
        for _ in range(count):
            length = int.from_bytes(data[at : at + 2], "big")
            if not length or at + 2 + length > len(data):
                raise PictureError(f"camera: avcC is torn: a parameter set of {length} bytes at {at} of {len(data)}")
            sets.append(data[at + 2 : at + 2 + length])
            at += 2 + length
    return (data[4] & 3) + 1, sets


def _split(data: bytes, length_bytes: int, what: str) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        if not length or at + length > len(data):
            raise PictureError(f"camera: {what} is torn: a NAL unit of {length} bytes at {at} of {len(data)}")
        found.append(data[at : at + length])
        at += length
    return found

"""A still as a camera gives it: JPEG, full range, from a decoded frame."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import av

QUALITY = 90


def jpeg(frame: av.VideoFrame) -> bytes:
    """The frame as JPEG."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()

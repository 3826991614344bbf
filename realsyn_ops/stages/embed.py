"""What is computed of a decoded image besides its embedding: the perceptual hash."""

import numpy as np
from PIL import Image
from scipy.fft import dctn

_SIDE = 32
_LOW = 8


def perceptual_hash(image: Image.Image) -> int:
    """64-bit pHash: sign of the 8 x 8 lowest DCT frequencies of the 32 x 32 grey image against their median."""
    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    low = dctn(grey, norm="ortho")[:_LOW, :_LOW]
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")

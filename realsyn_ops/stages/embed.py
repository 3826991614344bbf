"""What is computed of a decoded image besides its embedding: the perceptual hash."""

import cv2
import numpy as np
from PIL import Image
from scipy.fft import dct

_SIDE = 32
_LOW = 8
_COSINES = dct(np.eye(_SIDE), norm="ortho", axis=0)[:_LOW]


def perceptual_hash(image: Image.Image) -> int:
    """64-bit pHash: sign of the 8 x 8 lowest DCT frequencies of the 32 x 32 grey image against their median."""
    grey = cv2.resize(np.asarray(image.convert("L")), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = _COSINES @ grey.astype(np.float64) @ _COSINES.T
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")

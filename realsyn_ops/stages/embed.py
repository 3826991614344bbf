"""What is computed of a decoded image besides its embedding: the perceptual hash, and scores of how it looks.

The scores refuse nothing. They are kept beside each image, so that whoever wants no screenshots or no blurred pictures
sets the limit later.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from scipy.fft import dct

from realsyn_ops.image_codec import decode_image
from realsyn_ops.image_header import DECODED_SIDE_PX

_SIDE = 32
_LOW = 8
_N_BITS = _LOW * _LOW
_COSINES = dct(np.eye(_SIDE), norm="ortho", axis=0)[:_LOW]

_SHARPNESS_SIDE_PX = 256
_COMMON_COLOURS = 8
_EDGE = 64
_LETTER_GAP = np.ones((1, 9), np.uint8)
_MIN_LINE_PX, _MAX_LINE_PX = 4, 48
_MIN_LINE_SHARE, _MIN_EDGE_SHARE = 0.5, 0.3


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a decoded image looks, as numbers whose limits are the reader's.

    `text_share`: share of its area in boxes that look like lines of text (0 for photographs, a third and more for pages
    and screenshots of text). `sharpness`: variance of the Laplacian of the grey image at a longer side of 256 (below
    100 little is in focus). `flatness`: share of its pixels in its 8 most common colours of 32,768 (photographs about
    0.2; logos, diagrams and screenshots 0.9 and more).
    """

    text_share: float
    sharpness: float
    flatness: float


def perceptual_hash(image: Image.Image) -> int:
    """64-bit pHash: sign of the 8 x 8 lowest DCT frequencies of the 32 x 32 grey image against their median."""
    whole = min(image.size) // (2 * _SIDE)
    small = image.reduce(whole) if whole > 1 and image.mode == "RGB" else image
    grey = cv2.resize(np.asarray(small.convert("L")), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = (_COSINES @ grey.astype(np.float64) @ _COSINES.T).ravel()
    ranked = np.sort(low)
    bits = low > (ranked[_N_BITS // 2 - 1] + ranked[_N_BITS // 2]) / 2
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def picture_hash(data: bytes) -> int:
    """Of an encoded image, as `curate_images` has it. Raises OSError or ValueError for what does not decode."""
    return perceptual_hash(decode_image(data, max_side=DECODED_SIDE_PX))


def appearance(image: Image.Image) -> Appearance:
    """Scores of an RGB image, best decoded to a longer side of 512 px: letters have a size there."""
    pixels = np.asarray(image)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return Appearance(_text_share(grey), _sharpness(grey), _flatness(pixels))


def _text_share(grey: np.ndarray) -> float:
    """Edges closed over the gaps between letters; of what they form, low and long boxes that are full of edges."""
    edges = (cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > _EDGE).astype(np.uint8)
    lines = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, _LETTER_GAP)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(lines, connectivity=4)
    left, top, width, height, area = boxes[1:].T
    is_line = (height >= _MIN_LINE_PX) & (height <= _MAX_LINE_PX) & (width >= 2 * height)
    is_line &= area >= _MIN_LINE_SHARE * width * height
    left, top, width, height = (side[is_line] for side in (left, top, width, height))
    sums = cv2.integral(edges)
    right, bottom = left + width, top + height
    n_edges = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    is_text = n_edges > _MIN_EDGE_SHARE * width * height
    return min(1.0, float((width * height)[is_text].sum()) / grey.size)


def _sharpness(grey: np.ndarray) -> float:
    scale = _SHARPNESS_SIDE_PX / max(grey.shape)
    if scale < 1:
        size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _flatness(pixels: np.ndarray) -> float:
    red, green, blue = (pixels[:, :, plane].astype(np.uint16) >> 3 for plane in range(3))
    counts = np.bincount((red << 10 | green << 5 | blue).ravel(), minlength=1 << 15)
    counts.partition(counts.size - _COMMON_COLOURS)
    return float(counts[-_COMMON_COLOURS:].sum() / counts.sum())

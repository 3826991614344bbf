"""Progressive JPEG (ITU-T T.81, annex G) without the scans that a decoder at a reduced scale can do without.

A progressive file tells its coefficients in scans: first of few frequencies and without the last bits, later the rest
(a scan's band of frequencies is Ss to Se, its last bit Al; Ah is 0 where the band comes for the first time). Decoders
spend their time on them. libjpeg reduces by giving each output the mean of the pixels it stands for (jidctred.c), so
that at 1/8 nothing but the first coefficient counts, at 1/4 and 1/2 some, and a missing last bit changes little.

No pixel here: bytes in, bytes out. Why, and what it costs: docs/decisions/0014-needed-pixels.md.
"""

import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

# What may be lost at the most: root of the mean square over a block at the wanted scale, in levels of 0 to 255.
MAX_LOST_LEVELS = 3.0

_BLOCK = 8
_N = _BLOCK * _BLOCK
_ZIGZAG = sorted(
    ((row, column) for row in range(_BLOCK) for column in range(_BLOCK)),
    key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
)
# libjpeg guesses these where they are 0 so far and not known to the last bit, by no more than what is not known.
_N_GUESSED = 10
_NEVER = 99

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
# Begins with one byte that is always the same: what `re` finds 17 times faster than a repeated one.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SOF2, _DHT, _EOI, _SOS, _DQT, _DRI = 0xC2, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD
_MAX_RUN_BITS = 14


@dataclass(frozen=True, slots=True)
class _Component:
    across: int
    down: int
    table: int


@dataclass(frozen=True, slots=True)
class _Scan:
    start: int
    stop: int
    components: tuple[int, ...]
    band: range
    before: int
    low: int


@dataclass(frozen=True, slots=True)
class _Jpeg:
    """Sides, components by id, steps of the quantisation tables in zigzag order, scans; `end`: where EOI stands."""

    width: int
    height: int
    components: dict[int, _Component]
    steps: dict[int, tuple[int, ...]]
    scans: list[_Scan]
    end: int


def lighter_jpeg(data: bytes, scale: int) -> bytes:
    """The JPEG to give to libjpeg for decoding at 1/`scale`; anything that is no plain progressive JPEG as it is.

    Differs from the whole by MAX_LOST_LEVELS at the most in any block of any component (and by rounding), and not at
    all where the frequencies left out do not count at that scale. A file whose end is missing is not made lighter:
    nothing that is cut short becomes whole. Damage inside a scan that is left out is not seen.
    """
    if scale == 1:
        return data
    try:
        jpeg = _read(data)
        if jpeg is None or not _is_plain(jpeg):
            return data
    except (IndexError, KeyError, struct.error):
        return data
    dropped = _dropped(jpeg, scale)
    parts, place = [], 0
    for scan in (scan for scan in jpeg.scans if scan in dropped):
        parts.append(data[place : scan.start])
        place = scan.stop
    firsts = [scan for scan in jpeg.scans if scan in dropped and not scan.before]
    return b"".join([*parts, data[place : jpeg.end], _empty_scans(jpeg, firsts), b"\xff\xd9"])


def _read(data: bytes) -> _Jpeg | None:
    """None where a segment is none of a plain progressive JPEG, or EOI is missing."""
    place, sides = 2, (0, 0)
    components: dict[int, _Component] = {}
    steps: dict[int, tuple[int, ...]] = {}
    scans: list[_Scan] = []
    while found := _MARKER.match(data, place):
        marker, body = found[1][0], found.end()
        if marker == _EOI:
            return _Jpeg(*sides, components, steps, scans, found.start())
        (length,) = struct.unpack_from(">H", data, body)
        place = body + length
        if marker == _SOS:
            following = _NEXT_MARKER.search(data, place)
            if following is None:
                return None
            scans.append(_scan(data, body + 2, found.start(), following.start()))
            place = following.start()
        elif marker == _SOF2 and not components and data[body + 2] == _BLOCK:
            height, width, n_components = struct.unpack_from(">HHB", data, body + 3)
            sides = width, height
            for at in range(body + 8, body + 8 + 3 * n_components, 3):
                components[data[at]] = _Component(data[at + 1] >> 4, data[at + 1] & 15, data[at + 2])
        elif marker == _DQT and not scans:
            steps |= _tables(data[body + 2 : place])
        elif marker not in {_DHT, _DRI, 0xFE, *range(0xE0, 0xF0)}:
            return None
    return None


def _scan(data: bytes, place: int, start: int, stop: int) -> _Scan:
    last = place + 1 + 2 * data[place]
    first, end, bits = data[last : last + 3]
    return _Scan(start, stop, tuple(data[place + 1 : last : 2]), range(first, end + 1), bits >> 4, bits & 15)


def _tables(body: bytes) -> dict[int, tuple[int, ...]]:
    tables, place = {}, 0
    while place < len(body):
        kind = f">{_N}H" if body[place] >> 4 else f">{_N}B"
        tables[body[place] & 15] = struct.unpack_from(kind, body, place + 1)
        place += 1 + struct.calcsize(kind)
    return tables


def _is_plain(jpeg: _Jpeg) -> bool:
    """Every coefficient is told once, bit by bit and to the last; its component has sides and steps."""
    known = {name: [_NEVER] * _N for name in jpeg.components}
    for scan in jpeg.scans:
        for name in scan.components:
            for k in scan.band:
                if known[name][k] != (scan.before or _NEVER):
                    return False
                known[name][k] = scan.low
        if scan.band.start and len(scan.components) > 1:
            return False
    parts = jpeg.components.values()
    is_told = all(low == 0 for lows in known.values() for low in lows)
    return bool(parts) and is_told and all(part.across and part.down and part.table in jpeg.steps for part in parts)


def _dropped(jpeg: _Jpeg, scale: int) -> set[_Scan]:
    """From the last scan to the first: all but the first coefficient's that change little and that none kept needs."""
    dropped: set[_Scan] = set()
    known = {name: [0] * _N for name in jpeg.components}
    needed: dict[int, set[int]] = {name: {0} for name in jpeg.components}
    sides = {name: _block_side(jpeg, part, scale) for name, part in jpeg.components.items()}
    for scan in reversed(jpeg.scans):
        name = scan.components[0]
        without = [(scan.before or _NEVER) if k in scan.band else low for k, low in enumerate(known[name])]
        lost = _lost_levels(without, jpeg.steps[jpeg.components[name].table], sides[name])
        if needed[name].isdisjoint(scan.band) and lost <= MAX_LOST_LEVELS:
            dropped.add(scan)
            known[name] = without
        else:
            needed[name] |= set(scan.band)
    return dropped


def _block_side(jpeg: _Jpeg, part: _Component, scale: int) -> int:
    """Pixels that libjpeg makes of a block's 8: of a component with fewer samples more, so that it need not enlarge."""
    side = smallest = _BLOCK // scale
    across = max(other.across for other in jpeg.components.values())
    down = max(other.down for other in jpeg.components.values())
    while side < _BLOCK and not across * smallest % (part.across * side * 2) + down * smallest % (part.down * side * 2):
        side *= 2
    return side


def _lost_levels(known: Iterable[int], steps: Iterable[int], side: int) -> float:
    """At the most what is lost by bits that are not known, for a block that becomes `side` x `side` pixels.

    T.81's transform is orthonormal, and a mean of pixels has no more energy than they: the root of the coefficients'
    squares, over 8, is a bound at every scale. A frequency that is a multiple of `side` has the mean 0.
    """
    squares = 0.0
    for k, (low, step, (row, column)) in enumerate(zip(known, steps, _ZIGZAG, strict=True)):
        if low == 0 or (row and row % side == 0) or (column and column % side == 0):
            continue
        if low == _NEVER:
            return math.inf
        squares += (((1 << low) - 1) * step * (2 if k < _N_GUESSED else 1)) ** 2
    return math.sqrt(squares) / _BLOCK


def _empty_scans(jpeg: _Jpeg, firsts: Iterable[_Scan]) -> bytes:
    """Zeros for bands that were left out as a whole: what it never hears of, libjpeg makes up from the neighbours."""
    # No restart markers; 15 Huffman codes of 4 bits, of which code n starts a run of 2^n blocks and more.
    parts = [b"\xff\xdd\0\4\0\0", b"\xff\xc4\0\x22\x10\0\0\0\x0f", bytes(12), bytes(range(0, 0xF0, 0x10))]
    across = max(part.across for part in jpeg.components.values())
    down = max(part.down for part in jpeg.components.values())
    for scan in firsts:
        part = jpeg.components[scan.components[0]]
        n_blocks = _blocks(jpeg.width, part.across, across) * _blocks(jpeg.height, part.down, down)
        header = bytes([1, scan.components[0], 0, scan.band.start, scan.band.stop - 1, 0])
        parts += [b"\xff\xda\0\x08", header, _run(n_blocks)]
    return b"".join(parts) if len(parts) > 4 else b""


def _blocks(side: int, samples: int, most: int) -> int:
    return math.ceil(math.ceil(side * samples / most) / _BLOCK)


def _run(n_blocks: int) -> bytes:
    """That many blocks of zeros, in end-of-band runs (T.81, G.1.2.2)."""
    bits = ""
    while n_blocks:
        n_bits = min(n_blocks.bit_length() - 1, _MAX_RUN_BITS)
        run = min(n_blocks, (2 << n_bits) - 1)
        bits += f"{n_bits:04b}" + (f"{run - (1 << n_bits):0{n_bits}b}" if n_bits else "")
        n_blocks -= run
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")

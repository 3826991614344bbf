"""What must not be found again, looked for in bytes: stretches of images and vectors, texts in every way they are
written, keys. All of them at once, in one look at the bytes."""

import html
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

_ANCHOR = 8
MIN_TEXT_BYTES = 16
"""Shorter texts stand in others by chance: of them only whole values are found."""


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    kind: str
    key: str


class Needles:
    def __init__(self, table: pa.Table) -> None:
        self._by_anchor: dict[int, list[tuple[bytes, Hit]]] = defaultdict(list)
        self.texts: dict[str, str] = {}
        self.longest = _ANCHOR
        for row in table.to_pylist():
            hit, data = Hit(row["kind"], row["key"]), row["data"]
            if row["kind"] == "text":
                self.texts[data.decode()] = row["key"]
            for form in _forms(data.decode()) if row["kind"] == "text" else {data}:
                if len(form) >= (MIN_TEXT_BYTES if row["kind"] == "text" else _ANCHOR):
                    anchor = int.from_bytes(form[:_ANCHOR], "little")
                    self._by_anchor[anchor].append((form, hit))
                    self.longest = max(self.longest, len(form))

    def __bool__(self) -> bool:
        return bool(self._by_anchor or self.texts)

    def hits(self, data: bytes | memoryview) -> Iterator[Hit]:
        """What is found in these bytes, each as often as it is."""
        if len(data) < _ANCHOR or not self._by_anchor:
            return
        octets = np.frombuffer(data, np.uint8)
        for shift in (0, 1):
            pairs = octets[shift : shift + (len(octets) - shift) // 2 * 2].view(np.uint16)
            places = np.flatnonzero(self._begins[pairs]) * 2 + shift
            places = places[places <= len(octets) - _ANCHOR]
            values = octets[places[:, None] + np.arange(_ANCHOR)].view(np.uint64).ravel()
            for place, value in zip(places.tolist(), values.tolist(), strict=True):
                for form, hit in self._by_anchor.get(value, ()):
                    if bytes(data[place : place + len(form)]) == form:
                        yield hit

    @cached_property
    def _begins(self) -> np.ndarray:
        """(65,536,) whether an anchor begins with these two bytes."""
        begins = np.zeros(2**16, bool)
        begins[[anchor & 0xFFFF for anchor in self._by_anchor]] = True
        return begins


def _forms(text: str) -> set[bytes]:
    """A text as it is, in JSON, in HTML, and as JSON in HTML."""
    plain = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return {form.encode() for one in plain for form in (one, html.escape(one), html.escape(one, quote=False))}

"""Bytes of a page into its text, and text without what no reader sees."""

import codecs
import re

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.records import fold_space

_CHARSET = re.compile(
    rb"""<(?:meta\b[^>]{0,200}?charset|\?xml\b[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)
_TEXT_CODEC = re.compile(r"cp\d+|iso8859-\d+|koi8-[rut]|gb\w+|big5\w*|shift_jis\w*|euc_\w+|mac-\w+|tis-620")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROLS = bytes(range(9)) + bytes(range(14, 27)) + bytes(range(28, 32))
_NOISE = re.compile("[\x00-\x08\x0e-\x1b\x7f\xad\u200b\u2060\ufeff\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Folded text without what no reader sees: control characters, soft hyphens, zero-width blanks, lone surrogates."""
    folded = " ".join(text.split())
    return folded if folded.isascii() and folded.isprintable() else fold_space(_NOISE.sub("", text))


def decode_html(data: bytes, charset: str = "") -> str:
    """Text of a page: by its BOM, the charset its HTTP header named, the one it declares, else by its bytes.

    A declaration that the bytes contradict is overruled: UTF-8 that mostly fails is Windows' Latin 1, and Latin 1 that
    reads as UTF-8 throughout is UTF-8. Raises BadDocumentError for binary data.
    """
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise BadDocumentError("UTF-32 is not read, by browsers neither")
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace")
    head = data[:4096]
    if wide := _wide_codec(head, charset):
        return data.decode(wide, "replace")
    codec = _text_codec(charset) if charset else None
    if codec is None:
        if len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 20:
            raise BadDocumentError("binary data, not HTML")
        declared = _CHARSET.search(head)
        codec = _text_codec(declared[1].decode("ascii", "replace")) if declared else None
    if codec in {None, "utf-8", "cp1252"}:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            codec = codec if codec == "cp1252" else None
    if codec is not None:
        return data.decode(codec, "replace")
    text = data.decode("utf-8", "replace")
    n_foreign = len(text) - len(text.encode("ascii", "ignore"))
    return data.decode("cp1252", "replace") if text.count("\ufffd") * 2 > n_foreign else text


def _wide_codec(head: bytes, charset: str) -> str | None:
    """UTF-16 without a mark: where the header says so, or where every other byte of mostly Latin text is zero."""
    n_zeros = head.count(0)
    if "16" not in charset and n_zeros < len(head) * 0.4:
        return None
    n_even = head[::2].count(0)
    if n_zeros < 2 or min(n_even, n_zeros - n_even) * 8 > n_zeros:
        return None
    return "utf-16-be" if n_even * 2 > n_zeros else "utf-16-le"


def _text_codec(name: str) -> str | None:
    """Python's codec for a declared charset, as browsers read it; None for what is unknown or no text."""
    try:
        codec = codecs.lookup(name.strip("\"' ")).name
    except (LookupError, ValueError):
        return None
    if codec in {"ascii", "iso8859-1"}:
        return "cp1252"
    return codec if codec == "utf-8" or _TEXT_CODEC.fullmatch(codec) else None

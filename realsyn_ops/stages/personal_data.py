"""Personal data in a sentence: e-mail addresses, IP addresses and phone numbers, by their form alone.

Names, postal addresses and account numbers have no form of their own and are not looked for. Every pattern is linear in
the length of the text: repetitions are bounded or possessive.
"""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from realsyn_ops.records import Reason

_EMAIL = re.compile(
    r"[\w+%-]@(?:[\w-]{1,63}\.){1,8}(?P<tld>[^\W\d_]{2,24}|xn--[\w-]{2,59})(?![\w-]|\.\w)"
    r"|\w ?(?:\(at\)|\[at\]|\{at\}) ?[\w-]{1,63}(?:\.[\w-]{1,63}| ?(?:\(dot\)|\[dot\]|\{dot\}) ?[\w-]{1,63}){1,8}",
    re.IGNORECASE,
)
_FILE_TYPES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "bmp", "tif", "tiff", "ico", "js", "css"})

_IPV4 = re.compile(r"(?<![\w.:/+-])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\w|-\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}:[0-9a-f:]{2,37}(?:(?:\.\d{1,3}){3})?(?![\w:])", re.IGNORECASE)
_NUMBERED = re.compile(
    r"(?:§|\b(?:versions?|ver|v|releases?|rel|revisions?|rev|builds?|firmware|kernel|driver|updates?|patch|editions?"
    r"|sections?|sect?|chapters?|clauses?|articles?|paragraphs?|appendix|figures?|fig|tables?|rules?|items?|steps?"
    r"|exercises?|examples?|oid)\b\.?[ (]{0,2}|\bversions?\b[^\d.]{0,30})$",
    re.IGNORECASE,
)
_HEADING = re.compile(r"\.?\s+[A-Z]|\.$")

_BETWEEN = r"[ ./()\u2010-\u2013-]{0,3}+"
_DIGITS = re.compile(r"\d+")
_PHONES = (
    # +49 30 901820, +1 (555) 123-4567
    re.compile(rf"(?<![\w.,+-])\+(?P<number>\(?\d++(?:{_BETWEEN}\d++){{0,8}}+)(?!\w|[,:]\d)"),
    # (555) 123-4567, 555-123-4567, 1-800-555-0199
    re.compile(
        r"(?<![\w.,+/-])(?P<number>(?:1[ .-])?+(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])\d{3}[ .-]\d{4})(?![\w-]|[.,/]\d)"
    ),
    # 020 7946 0958, (030) 901820, 0171/2345678, 01 23 45 67 89
    re.compile(
        r"(?<![\w.,+/-])(?P<number>\(?0[1-9]\d{0,4}+\)?(?:[ ./\u2010-\u2013-]{1,3}+\d{2,8}+){1,5}+)(?![\w-]|[.,/:]\d)"
    ),
    # anything long enough that is called a number: tel. 5551234
    re.compile(
        r"\b(?:(?:tele)?phone|tele?fon|tel|t[ée]l|telefax|fax|mobile|cell|cellphone|hotline|helpline|whatsapp|sms"
        r"|(?:call|text|ring|phone|dial) (?:us|me|him|her|them)|call|dial)\b[ .:]{0,3}"
        r"(?:(?:toll[ -]free|now|today|numbers?|no|nr|at|on|is)\b[ .:]{0,3}){0,3}"
        rf"(?P<number>[+(]{{0,2}}\d++(?:{_BETWEEN}\d++){{0,8}}+)(?!\w|[,:]\d)",
        re.IGNORECASE,
    ),
)
_N_DIGITS = ((8, 15), (10, 11), (9, 11), (7, 15))
"""Fewest and most digits of a number of each form (E.164 allows 15)."""

_NO_PHONE = re.compile(
    r"(?:1\d|20)\d\d[ /\u2010-\u2013-]+(?:1\d|20)\d\d"  # 1914-1918
    r"|0\d{4}-\d{4}"  # a postal code, 02134-1234
    r"|[\d ]*?\d{1,2}([./-])\d{1,2}\1(?:1\d|20)?\d\d\b(?!\1).*"  # 24.12.2024
    r"|(?:1\d|20)\d\d([./-])\d\d?\2\d\d?\b.*"  # 2024-12-24
    r"|\d{1,3}(?:[ .]000)+"  # 10 000 000
)


def personal_data_reason(text: str) -> tuple[Reason, float] | None:
    """The first kind found, with how often it stands in the text."""
    if any(mark in text for mark in "@([{") and (n := sum(1 for _ in _emails(text))):
        return Reason.EMAIL, float(n)
    if _DIGITS.search(text) is None:
        return None
    if ("." in text or ":" in text) and (n := sum(1 for _ in _ip_addresses(text))):
        return Reason.IP_ADDRESS, float(n)
    if n := len(set(_phones(text))):
        return Reason.PHONE, float(n)
    return None


def _emails(text: str) -> Iterator[int]:
    for found in _EMAIL.finditer(text):
        if (found["tld"] or "").lower() not in _FILE_TYPES:
            yield found.start()


def _ip_addresses(text: str) -> Iterator[int]:
    for found in _IPV4.finditer(text):
        before = text[max(0, found.start() - 40) : found.start()]
        is_numbering = _NUMBERED.search(before) or (not before and _HEADING.match(text, found.end()))
        if not is_numbering and _is_address(found[0], IPv4Address):
            yield found.start()
    for found in _IPV6.finditer(text):
        # Shorter groups, or letters alone, are times, ratios, hardware addresses or names of a program's parts.
        has_form = any(len(group) > 2 for group in found[0].split(":")) and _DIGITS.search(found[0])
        if (has_form or found[0] == "::1") and _is_address(found[0], IPv6Address):
            yield found.start()


def _is_address(text: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def _phones(text: str) -> Iterator[int]:
    """Where the numbers end: two forms may find the same one."""
    for form, (fewest, most) in zip(_PHONES, _N_DIGITS, strict=True):
        for found in form.finditer(text):
            number = found["number"]
            if fewest <= sum(map(str.isdigit, number)) <= most and not _NO_PHONE.fullmatch(number.lstrip("(")):
                yield found.end()

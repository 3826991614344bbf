"""Numbers by value, whatever their form: 1,200 and twelve hundred, 3rd and third, 34 million and 34,000,000.

A value is a decimal without needless zeros; an ordinal's ends with a full stop. What no value can be made of (a time of
day, a version) stays as it is written.
"""

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache

_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_TENS = "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_ORDINALS = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
sixteenth seventeenth eighteenth nineteenth
"""
_CARDINALS = {word: value for value, word in enumerate(_UNITS.split())} | {w: 20 + 10 * i for i, w in enumerate(_TENS)}
_RANKS = {word: rank for rank, word in enumerate(_ORDINALS.split(), 1)} | {
    word[:-1] + "ieth": 20 + 10 * i for i, word in enumerate(_TENS)
}
_PARTS = {f"{word}s": rank for word, rank in _RANKS.items() if rank > 2}
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


@lru_cache(maxsize=2**12)
def read_word(word: str) -> str:
    """The value of a number word; empty for any other word."""
    if word in _CARDINALS:
        return str(_CARDINALS[word])
    if word in _SCALES:
        return f"x{_SCALES[word]}"
    rank = _RANKS.get(word) or _PARTS.get(word)
    return f"{rank}." if rank else ""


@lru_cache(maxsize=2**14)
def read_digits(text: str) -> str:
    """The value of digits with their separators and ordinal ending: '2,700', '21st', '7:30', '1950s'."""
    text = text.replace("’", "'").replace("'s", "s")
    ending = text.lstrip("0123456789.,:")
    number = text.removesuffix(ending)
    if _THOUSANDS.fullmatch(number):
        number = number.replace(",", "")
    try:
        number = f"{Decimal(number).normalize():f}"
    except InvalidOperation:
        number = ":".join(part.lstrip("0") or "0" for part in number.split(":"))
    return number + ("." if ending in {"st", "nd", "rd", "th"} else ending)


def read_run(values: list[str], *, is_spelled: bool) -> tuple[str, int]:
    """The number that values side by side make together, and how many of them it takes.

    ``is_spelled``: the first one is a word; behind digits only a scale may follow ('34 million').
    """
    total, current = Decimal(0), Decimal(0)
    ordinal, taken = "", 0
    for value in values:
        number = Decimal(value.strip("x."))
        if value.startswith("x"):
            if taken and (ordinal or (number == 100 and not 0 < current < 100) or not 0 < current < 1000):
                break
            current = (current or 1) * number
            if number >= 1000:
                total, current = total + current, Decimal(0)
        elif not taken:
            current = number
        else:
            if ordinal or not is_spelled or not 0 < number < _room(current):
                break
            current += number
        ordinal = "." if value.endswith(".") else ""
        taken += 1
    return f"{(total + current).normalize():f}{ordinal}", taken


def _room(number: Decimal) -> int:
    """Below what a number word must be to be added: three to twenty, forty-five to two hundred."""
    if not number:
        return 1000
    if number % 100 == 0:
        return 100
    return 10 if number % 10 == 0 and number % 100 > 10 else 0

"""Tell bank account numbers (ISO 13616) from other words with digits."""

from collections.abc import Iterator

from plugway_builtin_plugins.pii_filter.surroundings import Span, is_word

_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS = {
    country: length for length, countries in _BY_LENGTH.items() for country in countries.split()
}
"""How long a number is in each country of the SWIFT registry."""
_SHORTEST, _LONGEST = 15, 34


def ibans(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the bank account numbers (ISO 13616) that begin between `start` and `end`."""
    position = start
    while position < end:
        after = None
        if not is_word(text[position - 1 : position] if position else ""):
            after = _iban_from(text, position)
        if after is None:
            position += 1
        else:
            yield position, after
            position = after


def _iban_from(text: str, start: int) -> int | None:
    """Return the end of the account number that begins at `start`."""
    country = text[start : start + 2]
    if not (country.isalpha() and text[start + 2 : start + 4].isdigit()):
        return None
    wanted = IBAN_LENGTHS.get(country.upper())
    compact, found = "", None
    for position in range(start, min(len(text), start + 80)):
        character = text[position]
        if is_word(character):
            compact += character
            complete = not is_word(text[position + 1 : position + 2])
            fits = len(compact) == wanted if wanted else country.isupper()
            if complete and fits and len(compact) >= _SHORTEST and mod97(compact):
                found = position + 1
            if len(compact) >= (wanted or _LONGEST):
                break
        elif character not in " -" or not is_word(text[position - 1]):
            break
    return found


def mod97(compact: str) -> bool:
    """Tell whether an IBAN without separators has the right check digits (ISO 7064)."""
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1

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
    25: "AO CV GW LY MZ PT ST",
    26: "DZ IR IS TR",
    27: "BI CF CG CM DJ FR GA GQ GR IT KM MC MG MR SM TD",
    28: "AL AZ BF BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS = {
    country: length for length, countries in _BY_LENGTH.items() for country in countries.split()
}
"""How long a number is in each country that issues them, in the SWIFT registry or on its own."""


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
    wanted = IBAN_LENGTHS.get(text[start : start + 2].upper())
    if wanted is None or not text[start + 2 : start + 4].isdigit():
        return None
    compact = ""
    for position in range(start, len(text)):
        character = text[position]
        if is_word(character):
            compact += character
            if len(compact) == wanted:
                whole = not is_word(text[position + 1 : position + 2])
                return position + 1 if whole and mod97(compact) else None
        elif character not in " -" or not is_word(text[position - 1]):
            return None
    return None


def mod97(compact: str) -> bool:
    """Tell whether an IBAN without separators has the right check digits (ISO 7064)."""
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1

"""Tell real numbers and addresses from strings that only look like them."""

import ipaddress
from collections.abc import Iterator

from plugway_builtin_plugins.pii_filter.surroundings import (
    Span,
    in_number_row,
    is_fraction,
    is_part,
    is_word,
)

_PHONE_DIGITS = range(7, 16)
_AMERICAN_DIGITS = 11


def credentials(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield a credential unless it is masked already."""
    if not text[start:end].endswith("***"):
        yield start, end


def emails(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield an e-mail address without the quotes and dots before it."""
    sign = max(text.rfind("@", start, end), text.rfind("%40", start, end))
    while start < sign and text[start] in "'.-":
        start += 1
    if start < sign:
        yield start, end


def social_security(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield a US social security number if it is one that can have been issued."""
    digits = "".join(filter(str.isdigit, text[start:end])).zfill(9)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    issued = area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"
    if issued and not is_part(text, start, end) and not in_number_row(text, start, end):
        yield start, end


def phones(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield a telephone number unless it is something else: a decimal, a date, a row of numbers."""
    end = _phone_end(text, start, end)
    found, before = text[start:end], text[start - 1 : start]
    if not found or before == "+" or (is_word(before) and found[0] != "("):
        return
    row = found[0] != "+" and in_number_row(text, start, end)
    if not (row or _is_section(text, start, end) or _is_decimal(found) or _is_date(found)):
        yield start, end


def _phone_end(text: str, start: int, end: int) -> int:
    """Return where the longest number of 7 to 15 digits ends, `start` if there is none.

    A candidate may go on into what stands behind it; North American numbers have 11 digits.
    """
    american = text[start : start + 3].replace(" ", "").startswith("+1")
    digits, found = 0, start
    for position in range(start, end):
        digits += text[position].isdigit()
        whole = text[position].isdigit() and not is_word(text[position + 1 : position + 2])
        if whole and digits in _PHONE_DIGITS:
            found = position + 1
            if american and digits == _AMERICAN_DIGITS:
                break
    return found


def _is_decimal(found: str) -> bool:
    whole, dot, fraction = found.removeprefix("+").partition(".")
    return bool(dot) and whole.isdigit() and fraction.isdigit() and len(fraction) < 9


def _is_date(found: str) -> bool:
    return len(found) == 10 and found[4] == found[7] and found[4] in "-/."


def _is_section(text: str, start: int, end: int) -> bool:
    """Tell whether the digits go on, after a dash or a dot, before or after a candidate."""
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    return (before[-1:] in {"-", "."} and before[:1].isdigit()) or (
        after[:1] in {"-", "."} and after[1:].isdigit()
    )


def addresses(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield an IP address, unless it is one that stands for no particular machine."""
    found = text[start:end]
    while found.endswith((".", ":")) and not found.endswith("::"):
        found = found[:-1]
    end = start + len(found)
    if is_part(text, start, end) or is_fraction(text, start):
        return
    if text[end : end + 1] == "." and text[end + 1 : end + 2].isdigit():
        return
    if ":" in found:
        if text[start - 1 : start] != ":" and _is_ipv6(found):
            yield start, end
    elif _is_ipv4(found):
        yield start, end


def _is_ipv4(found: str) -> bool:
    try:
        address = ipaddress.IPv4Address(".".join(str(int(part)) for part in found.split(".")))
    except ValueError:
        return False
    return not (address.is_loopback or address.packed[0] in {0, 255})


def _is_ipv6(found: str) -> bool:
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return False
    return address.ipv4_mapped is not None or not (
        address.is_reserved or address.is_loopback or address.is_unspecified
    )

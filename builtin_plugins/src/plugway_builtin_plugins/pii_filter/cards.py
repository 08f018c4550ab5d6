"""Tell card numbers from other long numbers."""

from collections.abc import Iterator

from plugway_builtin_plugins.pii_filter.surroundings import Span, is_fraction, is_part

_CARDS: tuple[tuple[range, frozenset[int]], ...] = (
    (range(4000, 5000), frozenset({13, 16, 19})),  # Visa
    (range(5100, 5600), frozenset({16})),  # Mastercard
    (range(2221, 2721), frozenset({16})),  # Mastercard
    (range(3400, 3500), frozenset({15})),  # American Express
    (range(3700, 3800), frozenset({15})),  # American Express
    (range(3000, 3060), frozenset(range(14, 20))),  # Diners Club
    (range(3095, 3096), frozenset(range(14, 20))),  # Diners Club
    (range(3600, 3700), frozenset(range(14, 20))),  # Diners Club
    (range(3800, 4000), frozenset(range(14, 20))),  # Diners Club
    (range(3528, 3590), frozenset(range(16, 20))),  # JCB
    (range(6011, 6012), frozenset(range(16, 20))),  # Discover
    (range(6440, 6600), frozenset(range(16, 20))),  # Discover
    (range(6200, 6300), frozenset(range(16, 20))),  # UnionPay
    (range(8100, 8300), frozenset(range(16, 20))),  # UnionPay, RuPay
    (range(2200, 2205), frozenset(range(16, 20))),  # Mir
    (range(6000, 6011), frozenset({16})),  # RuPay
    (range(5080, 5090), frozenset({16})),  # RuPay
    (range(5061, 5062), frozenset({16, 18, 19})),  # Verve
    (range(9792, 9793), frozenset({16})),  # Troy
    *((range(n, n + 1), frozenset(range(13, 20))) for n in (5018, 5020, 5038, 5893, 6304)),
    *((range(n, n + 1), frozenset(range(13, 20))) for n in (6759, 6761, 6762, 6763)),  # Maestro
)
_MAX_CARD = 19
_SEPARATORS = " .-"
_LONGEST = _MAX_CARD + 5
"""Characters in a number with its separators."""
_FIRST_GROUP = 4
_GROUPS = range(3, 7)
_LAST_GROUP = range(1, 7)


def luhn(digits: str) -> bool:
    """Tell whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = sum(int(digit) for digit in digits[-1::-2])
    total += sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Tell whether 13 to 19 digits are a number that a card scheme could have issued."""
    prefix, length = int(digits[:4]), len(digits)
    return any(prefix in prefixes and length in sizes for prefixes, sizes in _CARDS) and luhn(
        digits
    )


def cards(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the card numbers that begin in a run of digits and single separators."""
    if is_part(text, start, end):
        return
    groups = list(_digit_groups(text, start, _run_end(text, end)))
    index = 0
    while index < len(groups):
        after = _card_from(text, groups, index)
        if after is None:
            index += 1
        else:
            yield groups[index][0], groups[after - 1][1]
            index = after


def _run_end(text: str, end: int) -> int:
    """Return how far a run goes on, so far as a number that begins before `end` may reach."""
    found = end
    for position in range(end, min(end + _LONGEST, len(text))):
        if text[position].isdigit():
            if not text[position + 1 : position + 2].isdigit():
                found = position + 1
        elif text[position] not in _SEPARATORS or not text[position - 1].isdigit():
            break
    return found


def _card_from(text: str, groups: list[Span], first: int) -> int | None:
    """Return the index after the last group of the longest card number that begins at `first`."""
    digits, found = "", None
    for index in range(first, len(groups)):
        start, end = groups[index]
        digits += text[start:end]
        if len(digits) > _MAX_CARD:
            break
        alone = index == first
        plausible = not is_fraction(text, start) if alone else end - start in _LAST_GROUP
        if plausible and len(digits) >= 13 and is_card(digits):
            found = index + 1
        if end - start not in ({_FIRST_GROUP} if alone else _GROUPS):
            break
    return found


def _digit_groups(text: str, start: int, end: int) -> Iterator[Span]:
    begin = start
    for position in range(start, end + 1):
        if position == end or not text[position].isdigit():
            if position > begin:
                yield begin, position
            begin = position + 1

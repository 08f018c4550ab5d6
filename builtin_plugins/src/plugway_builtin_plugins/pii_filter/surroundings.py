"""Look at what stands before and after a candidate, which RE2 can't."""

Span = tuple[int, int]


def is_fraction(text: str, start: int) -> bool:
    """Tell whether what begins at `start` are the decimals of a number."""
    return start >= 2 and text[start - 1] == "." and text[start - 2].isdigit()


def is_part(text: str, start: int, end: int) -> bool:
    """Tell whether a candidate is only a part of a longer word."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return is_word(before) or is_word(after)


def is_word(character: str) -> bool:
    """Tell whether a character (or none) is a letter or a digit of the kind that numbers have."""
    return character.isascii() and character.isalnum()


def in_number_row(text: str, start: int, end: int) -> bool:
    """Tell whether blank-separated numbers have more of the same before or after them."""
    if " " not in text[start:end]:
        return False
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    return (before[-1:] == " " and before[:1].isdigit()) or (
        after[:1] == " " and after[1:].isdigit()
    )

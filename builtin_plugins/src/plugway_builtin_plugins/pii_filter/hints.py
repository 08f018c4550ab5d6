"""What strategy `partial` leaves of a finding: enough to recognise it, too little to use it."""

_HIDDEN = "****"


def outline(text: str) -> str:
    """Keep the first and the last character, if there are enough between them."""
    if len(text) < 6:
        return _HIDDEN
    return f"{text[0]}{'*' * (len(text) - 2)}{text[-1]}"


def prefix(text: str) -> str:
    """Keep the first four characters, which tell what kind of key it is."""
    return _HIDDEN if text.startswith("-----") else text[:4] + _HIDDEN


def email(text: str) -> str:
    """Keep the first character and the domain: `j***@example.com`."""
    sign = "@" if "@" in text else "%40"
    local, _, domain = text.rpartition(sign)
    return f"{local[:1] if len(local) > 1 else ''}***{sign}{domain}"


def ending(text: str) -> str:
    """Keep the last four digits (two of a short number) and the separators."""
    digits = sum(character.isdigit() for character in text)
    return _star(text, 4 if digits >= 9 else 2)


def account(text: str) -> str:
    """Keep the country, the last four characters and the separators."""
    return text[:2] + _star(text[2:], 4)


def year(text: str) -> str:
    """Keep a year of four digits and the separators: `1980-**-**`."""
    for start in range(len(text) - 3):
        if text[start : start + 4].isdigit():
            return _star(text[:start], 0) + text[start : start + 4] + _star(text[start + 4 :], 0)
    return _star(text, 0)


def network(text: str) -> str:
    """Keep the first half of an IPv4 address, the first two groups of an IPv6 one."""
    if ":" in text:
        return ":".join([*text.split(":")[:2], _HIDDEN])
    return ".".join([*text.split(".")[:2], "*", "*"])


def _star(text: str, keep: int) -> str:
    """Replace all letters and digits but the last `keep` by stars."""
    shown: list[str] = []
    for character in reversed(text):
        hide = character.isalnum() and keep <= 0
        keep -= character.isalnum()
        shown.append("*" if hide else character)
    return "".join(reversed(shown))

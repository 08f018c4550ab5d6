"""What personal data looks like: a pattern that finds candidates and a check that confirms them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from plugway_builtin_plugins.pii_filter import checks, hints
from plugway_builtin_plugins.pii_filter.cards import cards
from plugway_builtin_plugins.pii_filter.credentials import CREDENTIALS
from plugway_builtin_plugins.pii_filter.ibans import ibans
from plugway_builtin_plugins.pii_filter.surroundings import Span


def _whole(text: str, start: int, end: int) -> Iterator[Span]:
    del text
    yield start, end


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """One type of personal data."""

    name: str
    pattern: str
    """Finds candidates; where there are groups, the first that took part is the candidate."""
    confirm: Callable[[str, int, int], Iterable[Span]] = _whole
    """Yields what is real in a candidate `text[start:end]`."""
    hint: Callable[[str], str] | None = None
    """What strategy `partial` leaves of it; None for the label with the last two characters."""
    key: str = ""
    """Keys under which a whole value is of this type, in snake case."""
    value: str = ""
    """What such a value looks like."""

    @property
    def label(self) -> str:
        """What strategy `redact` puts in its place."""
        return f"[{self.name.upper()}]"


_SPACED = (
    r"0-9A-Za-z\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}\p{Hebrew}\p{Arabic}"
    r"\p{Devanagari}"
)
_UNSPACED = r"0-9\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}"
"""Scripts written without blanks: text in them may touch an address that is not in them."""

_EMAIL = (
    rf"(?:[{_SPACED}._%+'-]+|[{_UNSPACED}._-]+)(?:@|%40)"
    rf"(?:(?:[{_SPACED}-]+\.)+(?:xn--[0-9a-z-]+|[A-Za-z\p{{Latin}}\p{{Cyrillic}}\p{{Arabic}}]{{2,}})"
    rf"|(?:[{_UNSPACED}-]+\.)+[{_UNSPACED}]{{2,}})"
)
# neither decimals nor milliseconds since 1970, which data is full of
_CARD = (
    r"(?:^|[^0-9A-Za-z.]|[^0-9]\.)([2-689]\d{12,18})\b"
    r"|\b[2-689]\d{3}[ .-]\d{4,6}[ .-]\d{4,5}(?:[ .-]\d{1,4}){0,2}\b"
)
_NUMBER = r"\+?\(?\d(?:[ ().\-/]{0,2}\d){6,14}"
_PHONE = (
    rf"\+\s?[1-9](?:[ ().\-/]{{0,2}}\d){{6,14}}"
    r"|(?:\b1[ .-]?)?(?:\([2-9]\d{2}\) ?|\b[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}\b"
    r"|\b00[1-9]\d{0,2}[ .\-/](?:[ ().\-/]{0,2}\d){6,12}"
    r"|\b(?i:phone|telephone|tel|telefon|mobile|mobil|handy|cell ?phone|fax|whatsapp)"
    r"(?:[ _]?(?i:numbers?|num|nummer|no|nr))?[.]?[\"']?\s{0,2}(?:(?i:is)|[:=])?\s{0,2}[\"']?"
    rf"({_NUMBER})"
)
_SSN = (
    r"\b\d{3}-\d{2}-\d{4}\b|\b\d{3} \d{2} \d{4}\b"
    r"|\b(?i:ssn|social[ _-]?security(?:[ _-]?(?:number|num|no|nr))?)[^\w\[\]]{0,5}"
    r"(?:(?i:is)[^\w\[\]]{0,3})?(\d{3}[- ]?\d{2}[- ]?\d{4})\b"
)
_MONTH = (
    r"(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?:18|19|20)\d{2}"
_DATE = (
    rf"{_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.](?:3[01]|[12]\d|0?[1-9])\b"
    rf"|(?:3[01]|[12]\d|0?[1-9])[-/.](?:3[01]|[12]\d|0?[1-9])[-/.](?:{_YEAR}|\d{{2}})\b"
    rf"|(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th|\.)?[ -](?:of )?{_MONTH},?[ -](?:{_YEAR}|\d{{2}})\b"
    rf"|{_MONTH} (?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?,? {_YEAR}\b"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:3[01]|[12]\d|0[1-9])\b"
)
_BIRTH = (
    r"\b(?i:date[ _]?of[ _]?birth|birth[ _]?date|birth[ _]?day|d\.?o\.?b|born|geboren(?: am)?"
    r"|geburtsdatum|fecha[ _]de[ _]nacimiento|date[ _]de[ _]naissance|née? le)"
)
_PASSPORT_NUMBER = r"[A-Za-z]{0,3}\d{5,9}[A-Za-z]?"
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
# bounded: an open run before `::` would be read to its end again and again
_IPV6 = r"[0-9A-Fa-f:]{0,39}::[0-9A-Fa-f:.]{0,39}|(?:[0-9A-Fa-f]{1,4}:){6,7}[0-9A-Fa-f.]{1,15}"

DETECTORS: tuple[Detector, ...] = (
    # the most specific first: among hits of equal length the first one wins
    Detector("api_key", "|".join(CREDENTIALS), checks.credentials, hints.prefix),
    Detector("email", _EMAIL, checks.emails, hints.email),
    Detector(
        "iban",
        r"\b[A-Za-z]{2}\d{2}(?:[ -]?[0-9A-Za-z]){11,30}",
        ibans,
        hints.account,
    ),
    Detector("credit_card", _CARD, cards, hints.ending),
    Detector(
        "ssn",
        _SSN,
        checks.social_security,
        hints.ending,
        key=r"(?:.*_)?(?:ssn|social_security(?:_(?:number|num|no|nr))?)",
        value=r"\d{3}[- ]?\d{2}[- ]?\d{4}|\d{7,8}",
    ),
    Detector(
        "passport",
        r"\b(?i:passports?|passeports?|pasaportes?|passaporto|reisepass)"
        rf"[^\[\]\n]{{0,30}}?\b({_PASSPORT_NUMBER})\b",
        hint=hints.outline,
        key=r"(?:.*_)?(?:passport|passeport|pasaporte|reisepass)(?:_(?:number|num|no|nr|id))?",
        value=_PASSPORT_NUMBER,
    ),
    Detector(
        "date_of_birth",
        rf"{_BIRTH}[^0-9\[\]\n]{{0,30}}?\b({_DATE})",
        hint=hints.year,
        key=r"(?:.*_)?(?:dob|date_of_birth|birth_?date|birth_?day|born(?:_on)?|geburtsdatum"
        r"|fecha_(?:de_)?nacimiento|date_(?:de_)?naissance)",
        value=rf"(?:{_DATE})(?:[T ][0-9:.+Z-]*)?",
    ),
    Detector(
        "phone",
        _PHONE,
        checks.phones,
        hints.ending,
        key=r"(?:.*_)?(?:phone|telephone|tel|telefon|mobile|mobil|handy|cellphone|fax|msisdn)s?"
        r"(?:_?(?:number|num|no|nr|home|work|mobile|\d))?",
        value=rf"{_NUMBER}(?: ?(?:x|ext\.?) ?\d{{1,5}})?",
    ),
    Detector("ip", f"{_IPV4}|{_IPV6}", checks.addresses, hints.network),
)

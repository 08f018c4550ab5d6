"""Compile the regular expressions that operators write, so that no text can make them hang.

RE2 matches in time linear in the text; it has no lookaround and no backreferences for that reason.
"""

import time
from collections.abc import Iterator
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator

try:
    import re2  # type: ignore[import-untyped] # it ships no type information
except ImportError as error:
    message = "google-re2 is missing: pip install 'plugway-builtin-plugins[regex]'"
    raise ImportError(message, name="re2") from error

_re2: Any = re2
MAX_PROGRAM = 20_000
"""Instructions in a compiled pattern; `\\pL{10}` makes some 10,000."""
MEMORY = 8 << 20
MAX_SECONDS = 1.0
"""Seconds that finding all matches in one text may take.

One match is linear, all of them are not: `a.*b|a` reads on to the end of the text after each.
"""

_SHOWN = 80
_ESCAPES = {
    "\\Z": "write \\z for the end of the text",
    "\\K": "use a capture group instead",
}


class PatternError(ValueError):
    """A pattern can't be compiled, or does not do what it is for."""


class TooSlowError(RuntimeError):
    """A pattern took too long to find all its matches in one text."""


class Match(Protocol):
    """One match; positions count characters, -1 for a group that took no part."""

    def start(self, group: int = 0) -> int:
        """Return where the group begins."""
        ...

    def end(self, group: int = 0) -> int:
        """Return where the group ends."""
        ...


class Pattern:
    """A compiled pattern.

    Lone surrogates, which JSON may carry and UTF-8 can't, are matched as `?`.
    """

    __slots__ = ("_regex", "source")

    def __init__(
        self,
        source: str,
        *,
        ignore_case: bool = False,
        captures: bool = True,
        memory: int = MEMORY,
    ) -> None:
        """Compile `source`; `memory` is in bytes, for the program and for matching."""
        options = _re2.Options()
        options.log_errors = False
        options.max_mem = memory
        options.case_sensitive = not ignore_case
        options.never_capture = not captures
        try:
            self._regex = _re2.compile(source, options)
            _re2.purge()  # or it keeps those of plugins that a reload has replaced, each 300 KB
        except _re2.error as error:
            raise PatternError(f"pattern {_short(source)}: {_reason(error)}") from None
        self.source = source

    @property
    def size(self) -> int:
        """The number of instructions in the compiled program."""
        size: int = self._regex.programsize
        return size

    @property
    def groups(self) -> int:
        """The number of capture groups."""
        groups: int = self._regex.groups
        return groups

    @property
    def names(self) -> dict[str, int]:
        """The numbers of the capture groups that have names."""
        names: dict[str, int] = self._regex.groupindex
        return names

    def search(self, text: str) -> bool:
        """Tell whether there is a match anywhere in `text`."""
        try:
            return self._regex.search(text) is not None
        except UnicodeEncodeError:
            return self._regex.search(encodable(text)) is not None

    def fullmatch(self, text: str) -> bool:
        """Tell whether all of `text` is a match."""
        return self._regex.fullmatch(encodable(text)) is not None

    def finditer(self, text: str) -> Iterator[Match]:
        """Yield the matches from left to right; raises `TooSlowError` after `MAX_SECONDS`."""
        deadline = time.perf_counter() + MAX_SECONDS
        last = (-1, -1)
        match: Match
        for match in self._regex.finditer(encodable(text)):
            span = match.start(), match.end()
            if span != last:  # the package finds an empty match twice
                yield match
            last = span
            if time.perf_counter() > deadline:
                shown = _short(self.source)
                raise TooSlowError(f"pattern {shown} is too slow on {len(text)} characters")


def _short(source: str) -> str:
    return repr(source) if len(source) <= _SHOWN else f"{source[:_SHOWN]!r}..."


def encodable(text: str) -> str:
    """Return `text` with each lone surrogate replaced by `?`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def compile_pattern(source: str, *, ignore_case: bool = False) -> Pattern:
    """Compile what an operator wrote; raises `PatternError` that says what is wrong with it."""
    pattern = Pattern(source, ignore_case=ignore_case)
    if pattern.size > MAX_PROGRAM:
        raise PatternError(
            f"pattern {_short(source)} is too large ({pattern.size} instructions, at most"
            f" {MAX_PROGRAM}): use smaller repetitions or character classes"
        )
    return pattern


def _reason(error: Exception) -> str:
    """Say what RE2 did not like, and what to do about it where that is not obvious."""
    raw = error.args[0] if error.args else "not a regular expression"
    said = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    operator = said.rpartition(": ")[2]
    said = said[:_SHOWN]
    if operator in _ESCAPES:
        return f"{said}; {_ESCAPES[operator]}"
    if operator[1:].isdigit():
        return f"{said}; backreferences are not supported, they can take forever to match"
    if said.startswith("invalid perl operator") and operator[:3] in {"(?=", "(?!", "(?<"}:
        return f"{said}; lookaround is not supported, it can take forever to match"
    return said


def _checked(source: str) -> str:
    compile_pattern(source)
    return source


RegexSource = Annotated[str, AfterValidator(_checked)]
"""A configuration value that is a regular expression in RE2 syntax."""

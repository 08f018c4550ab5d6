"""What a plugin changed in a payload: the paths, with the values before and after."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plugway.jsonvalues import is_array, is_object
from plugway_hookspecs import Payload, thaw


class Absent:
    """Stands for a value that is not there, which is not the same as null."""


ABSENT: Final = Absent()

CONTEXT = 6
"""Words and signs that are shown on either side of a change in a text."""

_WORD = re.compile(r"""[^\s,;:{}\[\]"]+|.""", re.DOTALL)
_MANY = 5_000
"""Words beyond which a text is compared at its ends only."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is different; `ABSENT` where there is none on that side."""

    path: str
    before: Any
    after: Any

    def document(self) -> dict[str, Any]:
        """Return the change for machines; a side that has no value has no key."""
        sides = {"before": self.before, "after": self.after}
        kept = {key: thaw(value) for key, value in sides.items() if value is not ABSENT}
        return {"path": self.path, **kept}


def payload_changes(before: Payload, after: Payload) -> list[Change]:
    """Compare two payloads of one type, by the names that plugins use."""
    names: tuple[str, ...] = tuple(before.__slots__)
    return list(
        _mapping(
            "",
            {name: getattr(before, name) for name in names},
            {name: getattr(after, name) for name in names},
        )
    )


def changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    """Compare two JSON values, as deep as they have the same shape."""
    if is_object(before) and is_object(after):
        yield from _mapping(path, before, after)
    elif is_array(before) and is_array(after):
        yield from _sequence(path, before, after)
    elif before != after or (
        type(before) is not type(after) and bool in {type(before), type(after)}
    ):
        yield Change(path, before, after)


def _mapping(path: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for key in [*before, *(key for key in after if key not in before)]:
        here = f"{path}.{key}" if path else key
        if key in before and key in after:
            yield from changes(here, before[key], after[key])
        else:
            yield Change(here, before.get(key, ABSENT), after.get(key, ABSENT))


def _sequence(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    if len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changes(f"{path}[{index}]", old, new)
        return
    old, new = ([json.dumps(item, sort_keys=True) for item in side] for side in (before, after))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            for index in range(start, end):
                yield Change(f"{path}[{index}]", before[index], ABSENT)
            for index in range(new_start, new_end):
                yield Change(f"{path}[{index}]", ABSENT, after[index])


def excerpts(before: str, after: str) -> list[tuple[str, str]]:
    """Return the parts of two texts that differ, with a little of what is round them."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > _MANY:
        return [_ends_cut(before, after)]
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    parts: list[tuple[str, str]] = []
    for group in matcher.get_grouped_opcodes(CONTEXT):
        first, last = group[0], group[-1]
        parts.append((_excerpt(old, first[1], last[2]), _excerpt(new, first[3], last[4])))
    return parts


def _excerpt(words: Sequence[str], start: int, end: int) -> str:
    text = "".join(words[start:end])
    return f"{'…' if start else ''}{text}{'…' if end < len(words) else ''}"


def _ends_cut(before: str, after: str) -> tuple[str, str]:
    """Leave out what two texts have in common at their beginning and at their end."""
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    rest = range(1, shorter - head + 1)
    tail = next((i - 1 for i in rest if before[-i] != after[-i]), shorter - head)
    return f"…{before[head : len(before) - tail]}…", f"…{after[head : len(after) - tail]}…"

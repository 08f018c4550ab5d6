"""Write plain data as YAML that people like to edit: short lists in one line, few quotes."""

import json
import re
from collections.abc import Iterator
from typing import Any

from plugway.jsonvalues import is_array, is_object

WIDTH = 100

_PLAIN = re.compile(r"(?:[A-Za-z_/]|-+[A-Za-z])(?:[\w./+=@-]|:(?!$))*", re.ASCII)
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_NOT_PRINTABLE = re.compile(
    "[^\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)


def block(value: dict[str, Any], indent: int = 0) -> str:
    """Return a mapping as lines, each ending in a line break."""
    return "".join(f"{line}\n" for line in _mapping(value, indent))


def _mapping(value: dict[str, Any], indent: int) -> Iterator[str]:
    margin = " " * indent
    for key, item in value.items():
        head = f"{margin}{scalar(key)}:"
        line = f"{head} {flow(item)}"
        if is_object(item) and item:
            yield head
            yield from _mapping(item, indent + 2)
        elif is_array(item) and len(line) > WIDTH:
            yield head
            yield from (f"{margin}  - {flow(each)}" for each in item)
        else:
            yield line


def flow(value: Any) -> str:
    """Return a value in one line."""
    if is_object(value):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if is_array(value):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return a scalar; in quotes unless every reader takes it for the same string without them."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda match: f"\\U{ord(match[0]):08x}", quoted)

"""The kinds of values that configurations have: durations, sizes, names, modes."""

import math
import re
from typing import Annotated, Any, LiteralString
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from plugway_hookspecs import Mode

MODE_ALIASES = {
    "sequential": Mode.ENFORCE,
    "permissive": Mode.TRANSFORM,
    "concurrent": Mode.VALIDATE,
    "fire_and_forget": Mode.BACKGROUND,
}
"""What other configurations call the modes."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def problem(code: LiteralString, message: LiteralString, **context: Any) -> PydanticCustomError:
    """Return an error that our own validators raise; the message may not contain the input."""
    return PydanticCustomError(f"plugway_{code}", message, context)


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise problem("whole", "expected a whole number")
    return value


def _label(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise problem("label", "a name has no line breaks, and no blanks at its ends")
    return value


def _duration(value: Any) -> float:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _UNITS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise problem("duration", "expected a duration such as 250ms, 2s, 1m, 1h or seconds")
    if not (math.isfinite(seconds) and seconds > 0):
        raise problem("duration", "a duration must be more than nothing and finite")
    return seconds


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or re.search(r"\s", value):
        raise problem("url", "expected an address such as https://host/mcp")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or "__" in value:
        raise problem(
            "name", "a name has 1 to 64 letters, digits, '_', '.' or '-', and no '__' in it"
        )
    return value


def _prefix(value: str) -> str:
    return _name(value) if value else value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise problem("header", "{name} is not the name of an HTTP header", name=repr(name))
        if re.search(r"[\r\n\0]", text) or text != text.strip():
            message = "the header {name} begins or ends with a blank or contains a line break"
            raise problem("header", message, name=repr(name))
    return value


def _mode(value: Any) -> Any:
    return MODE_ALIASES.get(value, value) if isinstance(value, str) else value


def _schema(*alternatives: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(alternatives)})


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    _schema(
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)?\s*$"},
    ),
]
"""Seconds; written as a number of seconds or as 250ms, 2s, 1m, 1h."""

Size = Annotated[
    ByteSize,
    _schema(
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([kKMGT]i?)?[bB]?\s*$"},
    ),
]
"""Bytes; written as a number or as 512KiB, 4MiB."""

Whole = Annotated[int, BeforeValidator(_whole)]
"""An integer; pydantic would take `true` for 1."""

Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_label)]
"""A name that people read, in one line."""

Name = Annotated[str, AfterValidator(_name)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Url = Annotated[str, AfterValidator(_url)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
PluginMode = Annotated[
    Mode,
    BeforeValidator(_mode),
    WithJsonSchema({"enum": [*Mode, *MODE_ALIASES, "enforce_ignore_error"]}),
]

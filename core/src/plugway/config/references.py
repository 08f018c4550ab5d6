"""Replace `${VAR}`, `${VAR:-default}` and `${file:path}` in the strings of a configuration.

The replacement is textual and happens once: whatever a variable contains stays exactly as it is,
and is not looked at again. `$$` stands for one `$`; a `$` before anything else is itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from plugway.config.tree import Node, Path, Reading, render
from plugway.errors import ConfigError

MAX_FILE_BYTES = 1024 * 1024
"""The largest file that `${file:...}` reads."""

_TOKEN = re.compile(r"\$\$|\$\{(?P<body>[^}]*)\}|\$\{")
_VARIABLE = re.compile(
    r"(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-(?P<text>.*))?", re.DOTALL
)


class _ReferenceError(Exception):
    """What is wrong with one reference; the message never has a value in it."""


class _UnsetError(_ReferenceError):
    """The variable is not set; what else could be written depends on whose file it is."""


@dataclass(slots=True)
class Replaced:
    """A tree as plain data, with the places where references were, and what was wrong with them."""

    data: Any = None
    places: set[Path] = field(default_factory=set[Path])
    failed: set[Path] = field(default_factory=set[Path])
    errors: list[ConfigError] = field(default_factory=list[ConfigError])


def replace(reading: Reading, env: Mapping[str, str], file: FilePath | None) -> Replaced:
    """Return the values of what was read with every reference replaced; keys are left alone.

    Relative paths in `${file:...}` start from the folder of `file`.
    """
    result = Replaced()
    folder = file.parent if file else FilePath()

    def visit(node: Node, place: Path) -> Any:
        if isinstance(node.value, dict):
            return {key: visit(child, (*place, key)) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [visit(child, (*place, index)) for index, child in enumerate(node.value)]
        if not isinstance(node.value, str) or "$" not in node.value:
            return node.value
        if "${" in node.value:
            result.places.add(place)
        try:
            return _replace(node.value, env, folder)
        except _ReferenceError as error:
            unset = isinstance(error, _UnsetError)
            message = f"{error}, or write {reading.alternatives}" if unset else str(error)
            result.failed.add(place)
            result.errors.append(
                ConfigError(message, file=file, line=node.line, path=render(node.path))
            )
            return node.value

    result.data = visit(reading.root, ())
    return result


def referenced_files(text: str, folder: FilePath) -> list[FilePath]:
    """Return the files that a configuration's text has `${file:...}` references to."""
    bodies = [match["body"] or "" for match in _TOKEN.finditer(text)]
    return [folder / body.removeprefix("file:") for body in bodies if body.startswith("file:")]


def _replace(text: str, env: Mapping[str, str], folder: FilePath) -> str:
    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["body"] is None:
            raise _ReferenceError("`${` is not closed by `}` (write `$$` for a plain `$`)")
        return _value(match["body"], env, folder)

    return _TOKEN.sub(one, text)


def _value(body: str, env: Mapping[str, str], folder: FilePath) -> str:
    if body.startswith("file:"):
        return _read(folder / body.removeprefix("file:"))
    match = _VARIABLE.fullmatch(body)
    if match is None or "${" in (match["text"] or ""):
        raise _ReferenceError(
            f"`${{{body}}}` is not a reference: write ${{VAR}}, ${{VAR:-default}} or "
            "${file:path}, not one inside the other, and `$$` for a plain `$`"
        )
    value = env.get(match["name"])
    if match["default"]:
        return value or match["text"]
    if value is None:
        raise _UnsetError(f"the environment variable {match['name']} is not set: set it")
    return value


def _read(path: FilePath) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _ReferenceError(f"{path} has more than {MAX_FILE_BYTES} bytes")
        text = content.decode()
    except OSError as error:
        raise _ReferenceError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _ReferenceError(f"{path} is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")

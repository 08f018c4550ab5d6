"""Read the servers of clients' files, ready for a configuration of our own."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugway.cli.importing.hiding import Vault, hide, variable_name
from plugway.cli.importing.sources import Source
from plugway.cli.importing.yamltext import block
from plugway.config import parse
from plugway.config.dialects import read
from plugway.config.tree import Node
from plugway.errors import ConfigError
from plugway.jsonvalues import is_array, is_object

_PLACEHOLDER = re.compile(r"\$\{(?P<kind>input:|env:)?(?P<name>[^}:]+)\}")


@dataclass(frozen=True, slots=True)
class Imported:
    """One server, as it goes into the configuration."""

    name: str
    entry: dict[str, Any]
    source: Source


@dataclass(slots=True)
class Imports:
    """Everything that was found."""

    servers: list[Imported] = field(default_factory=list[Imported])
    vault: Vault = field(default_factory=Vault)
    notes: list[str] = field(default_factory=list[str])
    _originals: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def add(self, source: Source) -> None:
        """Take over the servers of one file; raises `ConfigError` where it can't be read."""
        reading = read(_text(source.path), json=True)
        self.notes += [f"{source.shown}: {note}" for note in reading.notes]
        servers = reading.root.get("mcpServers")
        for name, node in (servers.entries if servers else {}).items():
            entry = _filled_in(_plain(node), source)
            if _is_plugway(entry):
                self.notes.append(f"{source.shown}: {name!r} is plugway itself, left out")
            elif reason := _unusable(name, entry):
                self.notes.append(f"{source.shown}: {name!r} left out: {reason}")
            else:
                self._take(name, entry, source)

    def _take(self, name: str, entry: dict[str, Any], source: Source) -> None:
        if self._originals.get(name) == entry:
            return
        free = next(each for each in _names(name) if each not in self._originals)
        if free != name:
            self.notes.append(
                f"{source.shown}: {name!r} is called {free!r} here: the name is taken"
            )
        self._originals[free] = entry
        hidden = hide(free, entry, self.vault)
        self.vault.note_references(free, hidden)
        self.servers.append(Imported(free, hidden, source))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8", file=path) from None


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return node.value


def _filled_in(value: Any, source: Source) -> Any:
    """Replace what only an editor knows: its workspace, and what it would ask the user for."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: _meaning(match, source), value)
    if is_object(value):
        return {key: _filled_in(item, source) for key, item in value.items()}
    if is_array(value):
        return [_filled_in(item, source) for item in value]
    return value


def _meaning(match: re.Match[str], source: Source) -> str:
    kind, name = match["kind"], match["name"]
    if kind is not None:
        return f"${{{variable_name(name) if kind == 'input:' else name}}}"
    known = {
        "workspaceFolder": str(source.project),
        "workspaceFolderBasename": source.project.name,
        "userHome": str(Path.home()),
        "pathSeparator": os.sep,
        "/": os.sep,
    }
    return known.get(name, match[0])


def _is_plugway(entry: dict[str, Any]) -> bool:
    """Whether an entry starts or reaches a gateway of ours, which would then call itself."""
    words = [str(entry.get("command", "")), *map(str, entry.get("args") or [])]
    return "serve" in words and any(Path(word).stem == "plugway" for word in words)


class _AnyValue(Mapping[str, str]):
    """An environment in which every variable is set, to something that is a valid address."""

    def __getitem__(self, key: str) -> str:
        return "https://example.invalid"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _unusable(name: str, entry: Any) -> str:
    """Say why the gateway could not use a server, or nothing."""
    try:
        parse(block({"mcpServers": {name: entry}}), env=_AnyValue())
    except ConfigError as error:
        return "; ".join(each.message for each in error.errors)
    return ""


def import_servers(sources: Sequence[Source], *, strict: bool) -> Imports:
    """Import from all `sources`; with `strict` a file that can't be read raises `ConfigError`."""
    imports = Imports()
    for source in sources:
        try:
            imports.add(source)
        except ConfigError as error:
            if strict:
                message, line, path = error.message, error.line, error.path
                raise ConfigError(message, file=source.path, line=line, path=path) from None
            imports.notes.append(f"{source.shown}: left out, {error.message}")
    return imports

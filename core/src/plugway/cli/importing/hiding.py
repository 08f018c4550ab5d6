"""Move the secrets of a server's entry into environment variables."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plugway.cli.importing.secrets import (
    USERINFO,
    has_known_form,
    is_secret,
    is_secret_name,
    snake,
)
from plugway.jsonvalues import is_array, is_object

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z]+\s+)?(?P<rest>.+)", re.DOTALL)
_QUERY_VALUE = re.compile(r"(?<=[?&])(?P<name>[^=&#]+)=(?P<value>[^&#]+)")
_SEGMENT = re.compile(r"(?<=/)[^/?#]+")
_FLAG = re.compile(r"--?(?P<name>[\w-]+)(?:=(?P<value>.+))?", re.DOTALL)
_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
_PAIR = re.compile(r"(?P<name>[\w-]+)(?:=|:\s*)(?P<value>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that the user has to set."""

    name: str
    server: str
    place: str
    """Where the value is in the imported file, such as `env.GITHUB_TOKEN`; empty if it is not."""


@dataclass(slots=True)
class Vault:
    """Gives every secret a variable of its own; knows the values, and never tells them."""

    variables: list[Variable] = field(default_factory=list[Variable])
    _values: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    def reference(self, wanted: str, value: str, server: str, place: str) -> str:
        """Return `${NAME}` for a value; two different values never share a name."""
        name = variable_name(wanted)
        if self._values.get(name, value) != value:
            name = variable_name(f"{server}_{wanted}")
        base, number = name, 2
        while self._values.get(name, value) != value:
            name, number = f"{base}_{number}", number + 1
        if name not in self._values:
            self._values[name] = value
            self.variables.append(Variable(name, server, place))
        return f"${{{name}}}"

    def note_references(self, server: str, value: Any) -> None:
        """Take down the variables that an entry referred to before, such as what VS Code asks."""
        if isinstance(value, str):
            for match in _REFERENCE.finditer(value):
                if all(variable.name != match["name"] for variable in self.variables):
                    self.variables.append(Variable(match["name"], server, ""))
        elif is_object(value) or is_array(value):
            for item in value.values() if is_object(value) else value:
                self.note_references(server, item)


def variable_name(text: str) -> str:
    """Return the name of an environment variable for `text`, such as `API_KEY` for `api-key`."""
    valid = snake(text).upper().strip("_")
    return f"_{valid}" if valid[:1].isdigit() else valid or "SECRET"


def hide(server: str, entry: dict[str, Any], vault: Vault) -> dict[str, Any]:
    """Return a server's entry with references where secrets were."""
    return _Hiding(server, vault).entry(entry)


@dataclass(frozen=True, slots=True)
class _Hiding:
    server: str
    vault: Vault

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        hidden = dict(entry)
        if is_object(env := entry.get("env")):
            hidden["env"] = _each(env, self._variable)
        if is_object(headers := entry.get("headers")):
            hidden["headers"] = _each(headers, self._header)
        if isinstance(url := entry.get("url"), str):
            hidden["url"] = self._address(url, "url")
        if is_array(arguments := entry.get("args")):
            hidden["args"] = list(self._arguments(arguments))
        return hidden

    def _variable(self, name: str, value: str) -> str:
        if not is_secret(name, value):
            return value
        return self.vault.reference(name, value, self.server, f"env.{name}")

    def _header(self, name: str, value: str) -> str:
        return self._named(name, value, f"headers.{name}")

    def _named(self, name: str, value: str, place: str) -> str:
        """Hide a value, but not what says what it is: `Bearer ${CRM_TOKEN}`."""
        match = _SCHEME.fullmatch(value)
        scheme, rest = (match["scheme"] or "", match["rest"]) if match else ("", value)
        if not is_secret(name, rest):
            return value
        last = "token" if name.lower() == "authorization" else re.sub(r"^[xX]-", "", name)
        return scheme + self.vault.reference(f"{self.server}_{last}", rest, self.server, place)

    def _address(self, url: str, place: str) -> str:
        """Hide passwords, the values of queries and the segments of paths."""

        def whole(match: re.Match[str]) -> str:
            return self.vault.reference(f"{self.server}_token", match[0], self.server, place)

        def segment(match: re.Match[str]) -> str:
            return whole(match) if is_secret("", match[0]) else match[0]

        def query(match: re.Match[str]) -> str:
            return f"{match['name']}={self._named(match['name'], match['value'], place)}"

        scheme, separator, rest = USERINFO.sub(whole, url).partition("://")
        path, mark, parameters = rest.partition("?")
        return "".join(
            [
                scheme,
                separator,
                _SEGMENT.sub(segment, path),
                _QUERY_VALUE.sub(query, mark + parameters),
            ]
        )

    def _arguments(self, arguments: list[Any]) -> list[Any]:
        hidden: list[Any] = []
        flag = ""
        for index, argument in enumerate(arguments):
            if isinstance(argument, str):
                hidden.append(self._argument(argument, flag, f"args[{index}]"))
                match = _FLAG.fullmatch(argument)
                flag = match["name"] if match and match["value"] is None else ""
            else:
                hidden.append(argument)
        return hidden

    def _argument(self, argument: str, flag: str, place: str) -> str:
        """Hide `--token VALUE`, `--token=VALUE`, `NAME=VALUE`, `Header: VALUE` and addresses."""
        match = _FLAG.fullmatch(argument) or _PAIR.fullmatch(argument)
        if match is not None and (value := match["value"]):
            name = match["name"]
            if is_secret_name(name) or has_known_form(value):
                head = argument[: match.start("value")]
                return head + self._named(name, value, place)
        if "://" in argument:
            return self._address(argument, place)
        if has_known_form(argument) or (is_secret_name(flag) and not argument.startswith("-")):
            return self._named(flag or "token", argument, place)
        return argument


def _each(values: dict[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    return {
        name: change(name, value) if isinstance(value, str) else value
        for name, value in values.items()
    }

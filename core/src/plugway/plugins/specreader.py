"""Read the hook specifications of other packages, and refuse what could not become a chain."""

import inspect
import keyword
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn, get_type_hints

from plugway.errors import PluginLoadError
from plugway.plugins.discovery import KindSource
from plugway.plugins.hookcheck import HOOKS, parameters, specifications
from plugway_hookspecs import Context, Deny, Payload

_SHAPE = "async def {name}(self, payload: P, context: Context) -> P | Deny | None"
_PAYLOAD = "declare it as `@dataclass(frozen=True, slots=True) class {name}(Payload)`"


def read_specs(source: KindSource, specs: object) -> dict[str, type[Payload]]:
    """Return the hooks declared in a class or a module, with the payload of each.

    Raises `PluginLoadError`, naming package and hook, for the first that is wrong.
    """
    if not isinstance(specs, type | ModuleType):
        what = f"an object of type {type(specs).__name__}"
        raise source.error(f"adds hooks from {what}", "add the class itself, or a module")
    found = specifications(specs)
    if not found:
        cause = f"{specs.__name__}, which it adds, declares no hook"
        raise source.error(cause, "mark its functions with `@hookspec`")
    return {name: _Spec(source, specs, name).read(options) for name, options in found.items()}


class _Spec:
    """One specification on trial."""

    def __init__(self, source: KindSource, specs: type | ModuleType, name: str) -> None:
        self.source = source
        self.specs = specs
        self.name = name
        self.function: Callable[..., Any] = getattr(specs, name)

    def read(self, options: Any) -> type[Payload]:
        """Return the payload, or refuse."""
        odd = keyword.iskeyword(self.name) or self.name.startswith("_") or "__" in self.name
        if odd or not self.name.isidentifier():
            self._refuse("is no name for a hook", "choose one such as acme_scored")
        if self.name in HOOKS:
            self._refuse("is one of plugway's own", "choose another name")
        if given := [key for key in ("firstresult", "historic") if options.get(key)]:
            self._refuse(f"is declared with {given[0]}", "leave it out: a chain has its own rules")
        self._check_shape()
        return self._payload()

    def _check_shape(self) -> None:
        if not inspect.iscoroutinefunction(self.function):
            self._refuse("is no `async def`", self._advice())
        found = parameters(self.specs, self.name)
        plain = all(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in found)
        if [p.name for p in found] != ["payload", "context"] or not plain:
            given = ", ".join(map(str, found)) or "nothing"
            self._refuse(f"takes {given}", self._advice())

    def _payload(self) -> type[Payload]:
        hints = self._hints()
        if missing := [each for each in ("payload", "context", "return") if each not in hints]:
            self._refuse(f"has no annotation for {missing[0]!r}", self._advice())
        payload = hints["payload"]
        if not _is_payload(payload):
            name = getattr(payload, "__name__", str(payload))
            self._refuse(f"takes {name}, which is no payload", _PAYLOAD.format(name=name))
        if hints["context"] is not Context or hints["return"] != payload | Deny | None:
            name = payload.__name__
            self._refuse(
                "takes and returns something else than a chain does",
                self._advice().replace("P ", f"{name} ").replace("P,", f"{name},"),
            )
        return payload  # type: ignore[no-any-return]

    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.function)
        except Exception as error:
            cause = f"has annotations that can't be read ({type(error).__name__}: {error})"
            raise self._error(cause, "import what they name") from error

    def _advice(self) -> str:
        return f"declare it as `{_SHAPE.format(name=self.name)}`"

    def _refuse(self, cause: str, advice: str) -> NoReturn:
        raise self._error(cause, advice)

    def _error(self, cause: str, advice: str) -> PluginLoadError:
        return self.source.error(f"hook {self.name!r} {cause}", advice)


def _is_payload(kind: Any) -> bool:
    """Whether a class is what chains can carry: its fields are all its own, frozen, in slots."""
    if not (isinstance(kind, type) and issubclass(kind, Payload)):
        return False
    own = vars(kind)
    return kind.__bases__ == (Payload,) and "__dataclass_fields__" in own and "__slots__" in own

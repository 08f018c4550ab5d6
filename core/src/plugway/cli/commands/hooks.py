"""`plugway hooks`: what a plugin can hook into."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from plugway.cli.app import App
from plugway.cli.options import declare
from plugway.cli.output import Row, print_rows
from plugway.methods import FETCHES, HOOKS, LISTINGS
from plugway_hookspecs import Specs

_EXAMPLE = """\
from plugway_hookspecs import Deny, Plugin, ToolCall, hookimpl

class NoDeletes(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> Deny | None:
        return Deny("nothing is deleted here") if "delete" in payload.name else None
"""


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook, as `Specs` declares it."""

    name: str
    signature: str
    doc: str
    methods: tuple[str, ...]
    """The MCP methods that call it; empty for the plugin's own life and for extensions."""


@declare("hooks")
def command(app: App) -> None:
    """List every hook: when it is called, what it takes, and what it may return."""
    hooks = list_hooks()
    if app.as_json:
        app.document(
            [
                {"name": h.name, "signature": h.signature, "doc": h.doc, "methods": h.methods}
                for h in hooks
            ]
        )
        return
    _show(app, "Round every operation, in the order in which a request meets them", hooks, True)
    _show(app, "In a plugin's own life, and to extend the gateway", hooks, False)
    app.out.print(Text("\nFunctions may be async def or def, and may take fewer arguments.", "dim"))
    app.out.print(Text("A plugin is a class in an installed package:\n", "dim"))
    app.out.print(_EXAMPLE.rstrip())


def list_hooks() -> list[Hook]:
    """Return every hook in the order of the specification."""
    functions: list[tuple[str, Callable[..., Any]]] = [
        (name, value) for name, value in vars(Specs).items() if inspect.isfunction(value)
    ]
    return [
        Hook(name, _signature(function), (inspect.getdoc(function) or "").strip(), _methods(name))
        for name, function in functions
    ]


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    parameters = [p for name, p in signature.parameters.items() if name != "self"]
    text = str(signature.replace(parameters=parameters))
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _methods(hook: str) -> tuple[str, ...]:
    fetches = [fetch.name for fetch in FETCHES.values() if hook in {fetch.pre, fetch.post}]
    return (*fetches, *(each.name for each in LISTINGS.values() if hook == each.post))


def _show(app: App, title: str, hooks: list[Hook], operations: bool) -> None:
    app.out.print(Text(f"\n{title}:", "bold"))
    for hook in hooks:
        if (hook.name in HOOKS) is operations:
            head = [Text(hook.name, "bold cyan"), Text(", ".join(hook.methods), "dim")]
            app.out.print()
            print_rows(app.out, [Row(head, [Text(hook.signature, "green"), hook.doc])])

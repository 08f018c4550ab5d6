"""`plugway hooks`: what a plugin can hook into."""

import inspect
import re
from dataclasses import asdict, dataclass

import click
from rich.text import Text

from plugway.cli.app import App
from plugway.cli.extensions import warn
from plugway.cli.options import declare
from plugway.cli.output import Row, print_rows
from plugway.methods import EXCHANGES, HOOKS, LISTINGS, SUBSCRIPTION
from plugway.plugins.discovery import discover
from plugway.plugins.hooktable import collect_hooks
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
    """One hook, as `Specs` or a package declares it."""

    name: str
    signature: str
    doc: str
    methods: tuple[str, ...]
    """The MCP methods that call it; empty for the plugin's own life and for extensions."""
    package: str = ""
    """The package that adds it; empty for plugway's own."""


@declare("hooks")
@click.option("--kinds", is_flag=True, help="Add the hooks that installed packages add.")
def command(app: App, *, kinds: bool) -> None:
    """List every hook: when it is called, what it takes, and what it may return.

    With --kinds the plugin packages are imported, and the hooks that they add are listed as well;
    those are there once a plugin of theirs is configured.
    """
    hooks = list_hooks()
    added = list_added_hooks(app) if kinds else []
    if app.as_json:
        app.document([asdict(hook) for hook in [*hooks, *added]])
        return
    operations = [hook for hook in hooks if hook.name in HOOKS]
    _show(app, "Round every operation, in the order in which a request meets them", operations)
    others = [hook for hook in hooks if hook.name not in HOOKS]
    _show(app, "In a plugin's own life, and to extend the gateway", others)
    if added:
        _show(app, "Added by installed packages, and fired by their plugins", added)
    app.out.print(Text("\nFunctions may be async def or def, and may take fewer arguments.", "dim"))
    if not kinds:
        app.out.print(Text("With --kinds also those that installed packages add.", "dim"))
    app.out.print(Text("A plugin is a class in an installed package:\n", "dim"))
    app.out.print(_EXAMPLE.rstrip())


def list_hooks() -> list[Hook]:
    """Return every hook in the order of the specification."""
    return [
        Hook(name, signature_of(Specs, name), _doc(Specs, name), _methods(name))
        for name, value in vars(Specs).items()
        if inspect.isfunction(value)
    ]


def list_added_hooks(app: App) -> list[Hook]:
    """Return the hooks that installed packages add; a broken package costs a line of warning."""
    with app.spare_stdout():
        table = collect_hooks(discover().kinds.values())
    for failure in table.failures.values():
        warn(str(failure))
    return [
        Hook(name, signature_of(hook.specs, name), _doc(hook.specs, name), (), hook.package)
        for name, hook in table.custom.items()
    ]


def signature_of(specs: object, name: str) -> str:
    """Return the signature of a hook as its specification has it, with short names of types."""
    signature = inspect.signature(getattr(specs, name))
    parameters = [p for name, p in signature.parameters.items() if name != "self"]
    text = str(signature.replace(parameters=parameters))
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _doc(specs: object, name: str) -> str:
    return (inspect.getdoc(getattr(specs, name)) or "").strip()


def _methods(hook: str) -> tuple[str, ...]:
    if hook == SUBSCRIPTION.pre:
        return (SUBSCRIPTION.name, "subscriptions/listen")
    exchanges = [each.name for each in EXCHANGES if hook in {each.pre, each.post}]
    return (*exchanges, *(each.name for each in LISTINGS.values() if hook == each.post))


def _show(app: App, title: str, hooks: list[Hook]) -> None:
    app.out.print(Text(f"\n{title}:", "bold"))
    for hook in hooks:
        where = ", ".join(hook.methods) or hook.package
        head = [Text(hook.name, "bold cyan"), Text(where, "dim")]
        app.out.print()
        print_rows(app.out, [Row(head, [Text(hook.signature, "green"), hook.doc])])

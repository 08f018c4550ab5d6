"""The hooks of one configuration: plugway's own, and those that packages add."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from plugway.config import Config
from plugway.errors import PluginLoadError
from plugway.foreign import describe
from plugway.methods import HOOKS
from plugway.plugins import hookcheck
from plugway.plugins.discovery import Discovery, KindSource
from plugway.plugins.hookcheck import check_hook, implementations
from plugway.plugins.specreader import read_specs
from plugway_hookspecs import Mode, Payload, Plugin

_HOOK = "register_hooks"


@dataclass(frozen=True, slots=True, eq=False)
class CustomHook:
    """A hook that a package adds."""

    name: str
    payload: type[Payload]
    specs: type | ModuleType
    """Where it is declared; pluggy takes it from there."""
    source: KindSource

    @property
    def package(self) -> str:
        """The package that it comes from, or else the kind."""
        return self.source.package or self.source.name


@dataclass(slots=True, eq=False)
class HookTable:
    """The hooks that plugins may implement."""

    custom: dict[str, CustomHook] = field(default_factory=dict[str, CustomHook])
    failures: dict[str, PluginLoadError] = field(default_factory=dict[str, PluginLoadError])
    """Why hooks are missing, by the kind that was to add them."""

    @property
    def chains(self) -> dict[str, tuple[type[Payload], type[Payload] | None]]:
        """The hooks that have a chain: what each takes, and what a `Respond` in it may carry."""
        return HOOKS | {name: (hook.payload, None) for name, hook in self.custom.items()}

    @property
    def arguments(self) -> Mapping[str, tuple[str, ...]]:
        """All hooks with the names of their arguments."""
        return hookcheck.HOOKS | dict.fromkeys(self.custom, ("payload", "context"))

    @property
    def specs(self) -> list[type | ModuleType]:
        """Where the custom hooks are declared, each place once."""
        return list(dict.fromkeys(hook.specs for hook in self.custom.values()))

    def extended_by(self, kind: str) -> bool:
        """Whether a kind added a hook."""
        return any(hook.source.name == kind for hook in self.custom.values())

    def add(self, source: KindSource, specs: type | ModuleType) -> None:
        """Take in all hooks of a class or a module, or none; raises `PluginLoadError`."""
        hooks = [
            CustomHook(name, payload, specs, source)
            for name, payload in read_specs(source, specs).items()
        ]
        fresh = [hook for hook in hooks if not self._is_known(hook)]
        self.custom |= {hook.name: hook for hook in fresh}

    def _is_known(self, hook: CustomHook) -> bool:
        other = self.custom.get(hook.name)
        if other is None:
            return False
        if other.specs is hook.specs:  # several kinds may add the same hooks
            return True
        cause = f"hook {hook.name!r} is already added by {other.source.name!r} ({other.package})"
        advice = "remove one of the plugins; one of the packages has to choose another name"
        raise hook.source.error(cause, advice)


class Registrar:
    """Takes what one kind adds; implements `plugway_hookspecs.HookRegistrar`."""

    def __init__(self) -> None:
        """Start with nothing; what was added is looked at when `register_hooks` has returned."""
        self.added: list[type | ModuleType] = []
        self.closed = False

    def add(self, specs: type | ModuleType) -> None:
        """Add the functions marked with `hookspec` in a class or a module."""
        if self.closed:
            raise RuntimeError("hooks can only be added while `register_hooks` runs")
        self.added.append(specs)


def configured_kinds(config: Config, discovery: Discovery) -> list[KindSource]:
    """Return the kinds that a configuration uses, each once, in the order of the file."""
    names = dict.fromkeys(e.kind for e in config.plugins if e.mode is not Mode.DISABLED)
    return [discovery.kinds[name] for name in names if name in discovery.kinds]


def collect_hooks(sources: Iterable[KindSource]) -> HookTable:
    """Ask kinds for the hooks that they add; imports them, so not for the event loop.

    A kind that can't be loaded adds none; whoever makes an instance of it hears why.
    """
    table = HookTable()
    for source in sources:
        try:
            kind = source.load()
        except PluginLoadError:
            continue
        try:
            _collect(table, source, kind)
        except PluginLoadError as error:
            table.failures[source.name] = error
    return table


def _collect(table: HookTable, source: KindSource, kind: type[Plugin] | ModuleType) -> None:
    for name, hook in implementations(kind).items():
        if hook == _HOOK:
            for specs in _ask(source, kind, name):
                table.add(source, specs)


def _ask(source: KindSource, kind: type[Plugin] | ModuleType, name: str) -> list[type | ModuleType]:
    """Call `register_hooks`; raises `PluginLoadError` whatever the package does."""
    if wrong := "; ".join(_wrong(kind, name)):
        raise source.error(wrong, "the package has to mend it")
    registrar = Registrar()
    try:
        getattr(kind, name)(registrar)
    except (Exception, SystemExit) as error:  # foreign code
        raise source.error(f"its {_HOOK} {describe(error)}", "report it as a bug") from error
    finally:
        registrar.closed = True
    return registrar.added


def _wrong(kind: type[Plugin] | ModuleType, name: str) -> list[str]:
    wrong = list(check_hook(kind, name, _HOOK))
    static = inspect.getattr_static(kind, name)
    if isinstance(kind, type) and not isinstance(static, staticmethod | classmethod):
        wrong.append(f"{name} is called before there is an instance: make it a `@staticmethod`")
    if inspect.iscoroutinefunction(getattr(kind, name)):
        wrong.append(f"{name} is called while plugins are loaded: make it a plain `def`")
    if not wrong and len(hookcheck.parameters(kind, name)) != 1:
        wrong.append(f"{name} has to take `registrar`")
    return wrong

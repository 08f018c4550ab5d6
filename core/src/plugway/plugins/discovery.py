"""Find plugin kinds in the installed packages, so that a broken one never hides the others."""

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import ModuleType
from typing import Any

import importlib_metadata
from importlib_metadata import EntryPoint, IDistribution

from plugway.errors import PluginLoadError
from plugway.plugins.hookcheck import implementations, validate_hooks
from plugway_hookspecs import ENTRY_POINT_GROUP, Plugin

OWN = frozenset({"plugway-builtin-plugins", "plugway-external-bridge"})
"""The distributions whose kinds nobody can take the names of."""

_NOWHERE = ("", "")
_metadata: Any = importlib_metadata  # its functions take keywords without types

__all__ = ["OWN", "Discovery", "KindSource", "discover", "validate_hooks"]


@dataclass(frozen=True, slots=True, eq=False)
class KindSource:
    """A plugin kind and the package it comes from; nothing is imported before `load`."""

    name: str
    entry_point: EntryPoint
    distribution: str = ""
    version: str = ""

    @property
    def value(self) -> str:
        """The object reference, such as `package.module:Class`."""
        return self.entry_point.value

    @property
    def package(self) -> str:
        """The distribution and its version, such as `acme-score 1.2`; empty if nobody knows."""
        return f"{self.distribution} {self.version}".strip()

    def error(self, cause: str, advice: str = "") -> PluginLoadError:
        """Return an error about this kind, with the package it comes from."""
        return PluginLoadError(
            name=self.name,
            distribution=self.distribution,
            version=self.version,
            value=self.value,
            cause=cause,
            advice=advice,
        )

    def load(self) -> type[Plugin] | ModuleType:
        """Import the kind: a subclass of `Plugin`, or a module of hook implementations.

        Raises `PluginLoadError`, which says what to do, whatever the package does on import.
        """
        try:
            found: object = self.entry_point.load()
        except (Exception, SystemExit) as error:  # importing runs the package's code
            raise self.error(*_explain(self.entry_point, error)) from error
        if isinstance(found, ModuleType):
            if not implementations(found):
                raise self.error(
                    f"the module {found.__name__} implements no hook",
                    "mark its hook functions with `@hookimpl`",
                )
            return found
        return self._checked_class(found)

    def _checked_class(self, found: object) -> type[Plugin]:
        advice = "point it at a subclass of plugway_hookspecs.Plugin"
        if not isinstance(found, type):
            raise self.error(f"points at an object of type {type(found).__name__}", advice)
        if not issubclass(found, Plugin) or found is Plugin:
            raise self.error(f"the class {found.__name__} is no subclass of Plugin", advice)
        if not implementations(found) and found.parts is Plugin.parts:
            advice = "; ".join(validate_hooks(found)) or "mark its hooks with `@hookimpl`"
            raise self.error(f"the class {found.__name__} implements no hook", advice)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Discovery:
    """The kinds there are, by name in alphabetical order, and what is wrong with other packages."""

    kinds: dict[str, KindSource] = field(default_factory=dict[str, KindSource])
    problems: list[PluginLoadError] = field(default_factory=list[PluginLoadError])

    def kind(self, name: str) -> KindSource:
        """Return the kind of that name; raises `PluginLoadError`, which says what to do."""
        if name in self.kinds:
            return self.kinds[name]
        for problem in self.problems:
            if problem.name == name:
                raise problem
        close = difflib.get_close_matches(name, self.kinds, n=1)
        advice = f"did you mean {close[0]!r}?" if close else "install the package that has it"
        cause = "is not installed"
        if unread := [problem.distribution for problem in self.problems if not problem.name]:
            cause = f"is not installed, or in a package that can't be read ({', '.join(unread)})"
        raise PluginLoadError(name=name, cause=cause, advice=advice)


def discover(
    group: str = ENTRY_POINT_GROUP, entry_points: Iterable[EntryPoint] | None = None
) -> Discovery:
    """Find every plugin kind without importing any.

    `group` ends in the version of the contract; what was made for another version is a problem. By
    default the installed packages are searched, `entry_points` replaces them.
    """
    found = Discovery()
    points = _installed(found.problems) if entry_points is None else entry_points
    versions = re.compile(re.escape(group.rstrip("0123456789")) + r"(\d+)")
    known: dict[int, tuple[str, str]] = {}
    ours: list[KindSource] = []
    others: list[KindSource] = []
    for point in sorted(points):
        if versions.fullmatch(point.group):
            source = KindSource(point.name, point, *_identify(point.dist, known))
            (ours if point.group == group else others).append(source)
    for name, sources in groupby(ours, key=lambda source: source.name):
        if (kind := _choose(list(sources), found.problems)) is not None:
            found.kinds[name] = kind
    found.problems.extend(_of_other_versions(others, ours, group))
    return found


def _choose(sources: Sequence[KindSource], problems: list[PluginLoadError]) -> KindSource | None:
    """Return the one kind behind a name; none where it is ambiguous whose code would run."""
    distinct = list({(s.distribution, s.value): s for s in sources}.values())
    own = [source for source in distinct if _normal(source.distribution) in OWN]
    if len(distinct) > 1 and len(own) != 1:
        names = " and ".join(f"{s.distribution} {s.version} ({s.value})" for s in distinct)
        cause = f"is announced by {names}"
        problems.append(PluginLoadError(name=distinct[0].name, cause=cause, advice="remove one"))
        return None
    chosen = own[0] if len(distinct) > 1 else distinct[0]
    for other in distinct:
        if other is not chosen:
            cause = f"the name is already taken by {chosen.distribution} {chosen.version}"
            problems.append(other.error(cause, "the package has to choose another"))
    try:
        _ = chosen.entry_point.module
    except ValueError:
        advice = "the package has to write `package.module:Class`"
        problems.append(chosen.error("is no reference to a Python object", advice))
        return None
    return chosen


def _of_other_versions(
    others: Sequence[KindSource], ours: Sequence[KindSource], group: str
) -> Iterator[PluginLoadError]:
    """Report kinds made for another contract, unless the package has them for this one too."""
    served = {(source.name, source.distribution) for source in ours}
    speaks = int(group.removeprefix(group.rstrip("0123456789")))
    for source in others:
        if (source.name, source.distribution) in served:
            continue
        made = int(source.entry_point.group.removeprefix(group.rstrip("0123456789")))
        advice = "update the package" if made < speaks else "update plugway"
        yield source.error(
            f"was made for contract {made}; this gateway speaks {speaks}",
            f"{advice}, or install a version of the package for contract {speaks}",
        )


def _installed(problems: list[PluginLoadError]) -> list[EntryPoint]:
    """Return every entry point there is; a package that can't be read is a problem, not the end."""
    try:
        return [*_metadata.entry_points()]
    except Exception:  # noqa: BLE001 - one malformed package breaks it, in whatever way
        return list(_one_by_one(problems))


def _one_by_one(problems: list[PluginLoadError]) -> Iterator[EntryPoint]:
    """Read distribution by distribution; of two with one name the first valid one counts."""
    known: dict[int, tuple[str, str]] = {}
    distributions: list[IDistribution] = [*_metadata.distributions()]
    distributions.sort(key=lambda dist: not _has_metadata(dist))
    seen: set[str] = set()
    for dist in distributions:
        name, version = _identify(dist, known)
        if _normal(name) in seen:
            continue
        seen.add(_normal(name))
        try:
            yield from list(dist.entry_points)
        except Exception as error:  # noqa: BLE001 - see above
            cause = f"its entry points can't be read ({type(error).__name__}) in {dist}"
            advice = "reinstall or remove it"
            problems.append(
                PluginLoadError(
                    name="", distribution=name, version=version, cause=cause, advice=advice
                )
            )


def _has_metadata(dist: IDistribution) -> bool:
    try:
        return bool(dist.metadata["Name"])
    except (OSError, KeyError, ValueError):
        return False


def _identify(dist: IDistribution | None, known: dict[int, tuple[str, str]]) -> tuple[str, str]:
    """Return name and version; where there is no metadata, what the folder is called."""
    if dist is None:
        return _NOWHERE
    if id(dist) not in known:
        try:
            known[id(dist)] = (dist.name, dist.version)
        except (OSError, KeyError, ValueError):
            folder = re.split(r"[\\/]", str(dist))[-1]
            name, _, version = re.sub(r"\.(dist|egg)-info$", "", folder).partition("-")
            known[id(dist)] = (name, version)
    return known[id(dist)]


def _normal(name: str) -> str:
    """Return a distribution's name in the form in which two of them compare (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _explain(point: EntryPoint, error: BaseException) -> tuple[str, str]:
    """Return what went wrong on import, and what to do."""
    match error:
        case SystemExit():
            return f"called sys.exit({error.code!r}) while being imported", "report it as a bug"
        case ModuleNotFoundError() if _top(error.name) == _top(point.module):
            return f"its module {error.name!r} does not exist", "reinstall the package"
        case ModuleNotFoundError(name=str(name)):
            cause = f"needs the module {name!r}, which is not installed"
            return cause, _how_to_install(point, name)
        case SyntaxError():
            python = ".".join(map(str, sys.version_info[:2]))
            where = f"{error.filename}, line {error.lineno}"
            return f"is not valid Python {python} ({where}: {error.msg})", "update the package"
        case AttributeError() if isinstance(error.obj, ModuleType | type) and error.name in (
            point.attr or ""
        ).split("."):
            owner = error.obj.__name__
            return f"{owner!r} has no attribute {error.name!r}", "reinstall or update the package"
        case _:
            return f"{type(error).__name__} while being imported: {error}", "report it as a bug"


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _how_to_install(point: EntryPoint, module: str) -> str:
    """Name the extra that brings a module, if the distribution declares one."""
    wanted = _normal(_top(module))
    try:
        name, requires = (point.dist.name, point.dist.requires or []) if point.dist else ("", [])
    except (OSError, KeyError, ValueError):
        name, requires = "", []
    for requirement in requires:
        required = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", requirement)
        if required and extra and _normal(required[0]) == wanted:
            return f'install "{name}[{extra[1]}]"'
    return "install it, or the package's extra that brings it"

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from importlib_metadata import EntryPoint

from plugway.errors import PluginLoadError
from plugway.plugins.discovery import Discovery, KindSource, discover, validate_hooks
from plugway_hookspecs import ENTRY_POINT_GROUP, Plugin, ToolCall, hookimpl

GOOD = """
from plugway_hookspecs import Plugin, hookimpl

class Kind(Plugin):
    @hookimpl
    async def tool_pre_invoke(self, payload, context):
        return None
"""


class Site:
    """A folder of installed packages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules: set[str] = set()

    def module(self, name: str, source: str) -> None:
        self.path.mkdir(exist_ok=True)
        (self.path / f"{name}.py").write_text(textwrap.dedent(source))
        self.modules.add(name)

    def metadata(
        self,
        name: str,
        version: str = "1.2",
        *,
        requires: tuple[str, ...] = (),
        entry_points: str | None = None,
    ) -> Path:
        """Write a dist-info folder; without entry points it has none."""
        folder = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        if entry_points is not None:
            (folder / "entry_points.txt").write_text(entry_points)
        return folder

    def package(
        self,
        name: str,
        source: str = GOOD,
        *,
        value: str = "Kind",
        version: str = "1.2",
        requires: tuple[str, ...] = (),
        group: str = ENTRY_POINT_GROUP,
    ) -> Path:
        """Install the distribution bp-`name`, whose kind `name` is in the module bp_`name`."""
        self.module(f"bp_{name}", source)
        reference = f"bp_{name}:{value}" if value else f"bp_{name}"
        text = f"[{group}]\n{name} = {reference}\n"
        return self.metadata(f"bp-{name}", version, requires=requires, entry_points=text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    site.path.mkdir()
    monkeypatch.setattr(sys, "path", [str(site.path), *sys.path])
    importlib.invalidate_caches()
    yield site
    for name in site.modules:
        sys.modules.pop(name, None)


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> Site:
    """A folder that is searched after `site`."""
    second = Site(tmp_path / "second")
    second.path.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.path)])
    site.modules |= second.modules
    return second


def refusal(source: KindSource) -> PluginLoadError:
    with pytest.raises(PluginLoadError) as caught:
        source.load()
    return caught.value


def about(discovery: Discovery, name: str) -> list[str]:
    return [str(problem) for problem in discovery.problems if name in str(problem)]


def test_installed_kinds_are_found_without_importing_them(site: Site) -> None:
    site.package("good")
    kind = discover().kinds["good"]
    assert (kind.name, kind.value) == ("good", "bp_good:Kind")
    assert (kind.distribution, kind.version) == ("bp-good", "1.2")
    assert "bp_good" not in sys.modules
    loaded = kind.load()
    assert isinstance(loaded, type)
    assert issubclass(loaded, Plugin)


def test_a_module_of_hook_implementations_is_a_kind(site: Site) -> None:
    source = """
        from plugway_hookspecs import hookimpl

        @hookimpl
        def tool_pre_invoke(payload):
            return None
    """
    site.package("mod", source, value="")
    assert isinstance(discover().kinds["mod"].load(), ModuleType)


def test_plugway_s_own_kinds_are_installed() -> None:
    discovery = discover()
    assert discovery.kinds["external"].distribution == "plugway-external-bridge"
    assert discovery.kinds["pii_filter"].distribution == "plugway-builtin-plugins"


def test_kinds_are_in_the_same_order_on_every_machine() -> None:
    points = [EntryPoint(name, "m:K", ENTRY_POINT_GROUP) for name in "cab"]
    assert list(discover(entry_points=points).kinds) == ["a", "b", "c"]


def test_other_groups_are_none_of_our_business() -> None:
    points = [EntryPoint("x", "!!", "console_scripts"), EntryPoint("x", "m", "plugway.other.v1")]
    discovery = discover(entry_points=points)
    assert (discovery.kinds, discovery.problems) == ({}, [])


BROKEN = {
    "importerr": (
        "import not_there_at_all",
        "Kind",
        "needs the module 'not_there_at_all', which is not installed; install it, or the package's",
    ),
    "ownmissing": (
        "import bp_ownmissing.inner",
        "Kind",
        "its module 'bp_ownmissing.inner' does not exist; reinstall the package",
    ),
    "noname": (
        "from plugway_hookspecs import NotThere",
        "Kind",
        "ImportError while being imported: cannot import name 'NotThere'",
    ),
    "syntax": ("def broken(:\n", "Kind", "is not valid Python 3."),
    "exits": (
        "import sys; sys.exit('bye')",
        "Kind",
        "called sys.exit('bye') while being imported; report it as a bug",
    ),
    "raises": ("1 / 0", "Kind", "ZeroDivisionError while being imported: division by zero"),
    "noattr": (
        GOOD,
        "Knd",
        "'bp_noattr' has no attribute 'Knd'; reinstall or update the package",
    ),
    "deepattr": (GOOD, "Kind.Inner", "'Kind' has no attribute 'Inner'"),
    "innerattr": (
        "import os; os.nothing_of_that_name",
        "Kind",
        "AttributeError while being imported: module 'os' has no attribute",
    ),
    "klass": (
        "class Kind: pass",
        "Kind",
        "the class Kind is no subclass of Plugin; point it at a subclass of plugway_hookspecs",
    ),
    "base": (
        "from plugway_hookspecs import Plugin as Kind",
        "Kind",
        "the class Plugin is no subclass of Plugin",
    ),
    "none": ("Kind = None", "Kind", "points at an object of type NoneType; point it at a subclass"),
    "instance": (
        GOOD + "\nKind = Kind(Kind.Config(), name='x')\n",
        "Kind",
        "points at an object of type Kind",
    ),
    "function": ("def Kind(): ...", "Kind", "points at an object of type function"),
    "nohooks": (
        "from plugway_hookspecs import Plugin\nclass Kind(Plugin): pass\n",
        "Kind",
        "the class Kind implements no hook; mark its hooks with `@hookimpl`",
    ),
    "unmarked": (
        "from plugway_hookspecs import Plugin\nclass Kind(Plugin):\n def tool_pre_invoke(s): ...",
        "Kind",
        "implements no hook; tool_pre_invoke is not marked with `@hookimpl`",
    ),
    "nohooksmod": (
        "def tool_pre_invoke(payload): ...",
        "",
        "the module bp_nohooksmod implements no hook; mark its hook functions with `@hookimpl`",
    ),
}


def test_a_broken_package_never_hides_the_others(site: Site) -> None:
    site.package("aaa_good")
    for name, (source, value, _) in BROKEN.items():
        site.package(name, source, value=value)
    site.package("zzz_good")
    discovery = discover()
    assert set(BROKEN) | {"aaa_good", "zzz_good"} <= discovery.kinds.keys()
    for name, (_, value, expected) in BROKEN.items():
        reference = f"bp_{name}:{value}" if value else f"bp_{name}"
        error = refusal(discovery.kinds[name])
        assert str(error).startswith(f"plugin kind {name!r} (bp-{name} 1.2, {reference}): ")
        assert expected in str(error)
        assert (error.name, error.distribution, error.version) == (name, f"bp-{name}", "1.2")
        assert (error.value, bool(error.advice)) == (reference, True)
    assert isinstance(discovery.kinds["aaa_good"].load(), type)
    assert isinstance(discovery.kinds["zzz_good"].load(), type)


def test_the_cause_is_chained(site: Site) -> None:
    site.package("raises", "1 / 0")
    assert isinstance(refusal(discover().kinds["raises"]).__cause__, ZeroDivisionError)


def test_a_keyboard_interrupt_is_nobody_s_mistake(site: Site) -> None:
    site.package("stop", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover().kinds["stop"].load()


def test_a_syntax_error_names_file_and_line(site: Site) -> None:
    site.package("syntax", "x = 1\ndef broken(:\n")
    assert "bp_syntax.py, line 2: " in str(refusal(discover().kinds["syntax"]))


def test_a_module_that_is_not_there_at_all_asks_for_a_reinstallation(site: Site) -> None:
    text = f"[{ENTRY_POINT_GROUP}]\ngone = bp_gone.sub:Kind\n"
    site.metadata("bp-gone", entry_points=text)
    assert str(refusal(discover().kinds["gone"])) == (
        "plugin kind 'gone' (bp-gone 1.2, bp_gone.sub:Kind): its module 'bp_gone' does not exist; "
        "reinstall the package"
    )


@pytest.mark.parametrize(
    "requirement", ['Not.There>=2; extra == "speed"', "not_there ; extra=='speed'"]
)
def test_the_extra_that_brings_a_missing_module_is_named(site: Site, requirement: str) -> None:
    requires = ("other", 'another; extra == "wrong"', requirement)
    site.package("needs", "import not_there.inner", requires=requires)
    expected = "needs the module 'not_there', which is not installed; install \"bp-needs[speed]\""
    assert expected in str(refusal(discover().kinds["needs"]))


def test_without_metadata_there_is_no_extra_to_name(site: Site) -> None:
    folder = site.package("bare", "import not_there")
    (folder / "METADATA").unlink()
    assert "install it, or the package's extra" in str(refusal(discover().kinds["bare"]))


def test_a_plugin_of_parts_needs_no_hook_of_its_own(site: Site) -> None:
    source = """
        from plugway_hookspecs import Plugin
        class Kind(Plugin):
            def parts(self):
                return ()
    """
    site.package("parts", source)
    assert isinstance(discover().kinds["parts"].load(), type)


@pytest.mark.parametrize("value", ["not an object", "a-b:c", "a:b c", ""])
def test_a_value_that_is_no_reference_is_a_problem(value: str) -> None:
    discovery = discover(entry_points=[EntryPoint("bad", value, ENTRY_POINT_GROUP)])
    assert discovery.kinds == {}
    (problem,) = discovery.problems
    assert "is no reference to a Python object; the package has to write" in str(problem)
    with pytest.raises(PluginLoadError, match="is no reference"):
        discovery.kind("bad")


def test_an_empty_folder_left_by_an_upgrade_hides_nothing(site: Site) -> None:
    site.package("good")
    (site.path / "bp_good-0.9.dist-info").mkdir()
    assert discover().kinds["good"].version == "1.2"


def test_a_package_without_metadata_is_named_after_its_folder(site: Site) -> None:
    folder = site.package("bare")
    (folder / "METADATA").unlink()
    kind = discover().kinds["bare"]
    assert (kind.distribution, kind.version) == ("bp_bare", "1.2")
    assert isinstance(kind.load(), type)


def test_of_one_package_on_two_paths_the_first_counts(site: Site, second: Site) -> None:
    site.package("good")
    second.package("good", version="0.9")
    discovery = discover()
    assert discovery.kinds["good"].version == "1.2"
    assert about(discovery, "good") == []


def test_a_kind_that_two_packages_announce_is_refused_naming_both(site: Site) -> None:
    site.package("good")
    site.module("bp_dup", GOOD)
    site.metadata("bp-dup", "3", entry_points=f"[{ENTRY_POINT_GROUP}]\ngood = bp_dup:Kind\n")
    discovery = discover()
    assert "good" not in discovery.kinds
    (problem,) = about(discovery, "good")
    assert problem == (
        "plugin kind 'good': is announced by bp-dup 3 (bp_dup:Kind) and bp-good 1.2 "
        "(bp_good:Kind); remove one"
    )
    with pytest.raises(PluginLoadError, match="is announced by bp-dup 3"):
        discovery.kind("good")


def test_a_package_that_announces_a_kind_twice_is_refused(site: Site) -> None:
    text = f"[{ENTRY_POINT_GROUP}]\ntwice = bp_a:Kind\ntwice = bp_b:Kind\n"
    site.metadata("bp-twice", entry_points=text)
    discovery = discover()
    assert "twice" not in discovery.kinds
    assert len(about(discovery, "twice")) == 1


def test_the_same_line_twice_is_no_problem(site: Site) -> None:
    site.module("bp_same", GOOD)
    line = "same = bp_same:Kind\n"
    site.metadata("bp-same", entry_points=f"[{ENTRY_POINT_GROUP}]\n{line}{line}")
    assert "same" in discover().kinds


@pytest.mark.parametrize("name", ["pii_filter", "external"])
def test_nobody_can_take_the_name_of_a_builtin_kind(site: Site, name: str) -> None:
    own = discover().kinds[name]
    site.module("bp_thief", GOOD)
    site.metadata("aa-thief", entry_points=f"[{ENTRY_POINT_GROUP}]\n{name} = bp_thief:Kind\n")
    discovery = discover()
    assert discovery.kinds[name].value == own.value
    (problem,) = about(discovery, "thief")
    assert problem == (
        f"plugin kind {name!r} (aa-thief 1.2, bp_thief:Kind): the name is already taken by "
        f"{own.distribution} {own.version}; the package has to choose another"
    )


@pytest.mark.parametrize(("version", "advice"), [(0, "update the package"), (2, "update plugway")])
def test_a_package_for_another_contract_is_reported_without_importing_it(
    site: Site, version: int, advice: str
) -> None:
    site.package("other", "1 / 0", group=f"plugway.plugins.v{version}")
    discovery = discover()
    assert "other" not in discovery.kinds
    (problem,) = about(discovery, "other")
    assert problem == (
        f"plugin kind 'other' (bp-other 1.2, bp_other:Kind): was made for contract {version}; this "
        f"gateway speaks 1; {advice}, or install a version of the package for contract 1"
    )
    assert "bp_other" not in sys.modules


def test_a_package_for_two_contracts_is_no_problem(site: Site) -> None:
    site.module("bp_both", GOOD)
    text = "[plugway.plugins.v1]\nboth = bp_both:Kind\n[plugway.plugins.v2]\nboth = bp_both2:Kind\n"
    site.metadata("bp-both", entry_points=text)
    discovery = discover()
    assert discovery.kinds["both"].value == "bp_both:Kind"
    assert about(discovery, "both") == []


@pytest.mark.parametrize(
    "content", [b"[console_scripts]\nno equals sign\n", b"[x]\na = \xff\xfe\n"]
)
def test_a_foreign_package_that_cannot_be_read_is_reported_and_hides_nothing(
    site: Site, content: bytes
) -> None:
    site.package("good")
    folder = site.metadata("bp-ini", "1")
    (folder / "entry_points.txt").write_bytes(content)
    discovery = discover()
    assert discovery.kinds["good"].version == "1.2"
    assert discovery.kinds["pii_filter"].distribution == "plugway-builtin-plugins"
    (problem,) = about(discovery, "bp_ini")
    assert problem.startswith("a package (bp-ini 1): its entry points can't be read (")
    assert problem.endswith("bp_ini-1.dist-info; reinstall or remove it")
    with pytest.raises(PluginLoadError, match=r"or in a package that can't be read \(bp-ini\)"):
        discovery.kind("missing")


def test_reading_one_by_one_has_the_same_rules(site: Site, second: Site) -> None:
    site.package("good")
    second.package("good", version="0.9")
    (site.path / "aa_good-0.8.dist-info").mkdir()
    stale = site.path / "bp_stale-0.1.dist-info"
    stale.mkdir()
    (stale / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nstale = old:Kind\n")
    second.package("stale", version="2")
    site.modules.add("bp_stale")
    folder = site.metadata("bp-ini", "1")
    (folder / "entry_points.txt").write_text("[x]\nbroken\n")
    discovery = discover()
    assert discovery.kinds["good"].version == "1.2"
    assert (discovery.kinds["stale"].version, discovery.kinds["stale"].value) == (
        "2",
        "bp_stale:Kind",
    )
    assert about(discovery, "good") == []


def test_an_unknown_kind_is_an_error_with_a_suggestion() -> None:
    points = [EntryPoint("pii_filter", "m:K", ENTRY_POINT_GROUP)]
    discovery = discover(entry_points=points)
    assert discovery.kind("pii_filter").value == "m:K"
    with pytest.raises(PluginLoadError) as caught:
        discovery.kind("pi_filter")
    assert str(caught.value) == (
        "plugin kind 'pi_filter': is not installed; did you mean 'pii_filter'?"
    )
    with pytest.raises(PluginLoadError, match="install the package that has it"):
        discovery.kind("zzz")


def test_discovery_imports_no_plugin_in_a_fresh_process() -> None:
    code = (
        "import sys; from plugway.plugins.discovery import discover; found = discover().kinds; "
        "assert 'pii_filter' in found; "
        "sys.exit(any(name.startswith(('plugway_builtin', 'plugway_external')) "
        "for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Misspelt(Plugin):
    @hookimpl
    async def tool_pre_invok(self, payload: ToolCall) -> None: ...


class Unmarked(Plugin):
    async def tool_pre_invoke(self, payload: ToolCall) -> None: ...

    @hookimpl
    def plugin_health(self) -> None: ...


class Arguments(Plugin):
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, secret: str) -> None: ...

    @hookimpl
    async def tool_post_invoke(self, payload: ToolCall, *, context: object) -> None: ...

    @hookimpl
    async def prompt_pre_fetch(self, *args: object, **options: object) -> None: ...

    @hookimpl
    def plugin_health(self, host: object) -> None: ...


class Wrapper(Plugin):
    @hookimpl(wrapper=True)
    def tool_pre_invoke(self, payload: ToolCall) -> Iterator[None]:
        yield


class Deaf(Plugin):
    @hookimpl(wrapper=True)
    async def tool_pre_invoke(self, payload: ToolCall) -> None: ...


class WrapsStartup(Plugin):
    @hookimpl(wrapper=True)
    async def plugin_startup(self, call_next: object) -> None: ...


class Fine(Plugin):
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: object) -> None: ...

    @hookimpl(wrapper=True)
    async def resource_pre_fetch(self, payload: object, call_next: object) -> None: ...

    @hookimpl
    async def tool_post_list(self, context: object) -> None: ...

    @hookimpl
    def plugin_shutdown(self) -> None: ...

    @hookimpl(specname="prompt_pre_fetch")
    async def prompts(self, payload: object, context: object = None) -> None: ...

    @staticmethod
    @hookimpl
    def prompt_post_fetch(payload: object) -> None: ...

    @property
    def other(self) -> str:
        raise AssertionError("validation may not run properties")

    def helper(self) -> None: ...


WRONG: list[tuple[type[Plugin], list[str]]] = [
    (Fine, []),
    (Misspelt, ["there is no hook 'tool_pre_invok'; did you mean 'tool_pre_invoke'?"]),
    (Unmarked, ["tool_pre_invoke is not marked with `@hookimpl`: it would never be called"]),
    (
        Arguments,
        [
            "plugin_health: there is no argument 'host'; the hook has none",
            "prompt_pre_fetch: '*args: object' would never be passed: name arguments in order",
            "prompt_pre_fetch: '**options: object' would never be passed: name arguments in order",
            "tool_post_invoke: 'context: object' would never be passed: name arguments in order",
            "tool_pre_invoke: there is no argument 'secret'; the hook has payload, context",
        ],
    ),
    (
        Wrapper,
        ["tool_pre_invoke is a wrapper: make it `async def`, and await `call_next`, do not yield"],
    ),
    (Deaf, ["tool_pre_invoke is a wrapper: take `call_next`, or the rest would never run"]),
    (WrapsStartup, ["plugin_startup is a wrapper: plugin_startup has nothing to wrap"]),
]


@pytest.mark.parametrize(("kind", "expected"), WRONG)
def test_wrong_hooks_are_found_in_classes_and_instances(
    kind: type[Plugin], expected: list[str]
) -> None:
    assert validate_hooks(kind) == expected
    assert validate_hooks(kind(kind.Config(), name="n")) == expected


def test_wrong_hooks_are_found_in_modules(site: Site) -> None:
    source = """
        from plugway_hookspecs import hookimpl

        @hookimpl
        async def tool_pre_invoke(payload, contxt): ...

        @hookimpl
        async def nothing_like_it(payload): ...

        def tool_post_invoke(payload): ...
    """
    site.package("mod", source, value="")
    assert validate_hooks(discover().kinds["mod"].load()) == [
        "there is no hook 'nothing_like_it'; if a package adds it, configure one of its plugins",
        "tool_pre_invoke: there is no argument 'contxt'; the hook has payload, context",
        "tool_post_invoke is not marked with `@hookimpl`: it would never be called",
    ]

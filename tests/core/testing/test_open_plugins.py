from pathlib import Path

import pytest

from plugway.errors import ConfigError, StartupError
from plugway.testing import Kit, open_plugins
from plugway_hookspecs import (
    Context,
    Deny,
    Host,
    Plugin,
    PluginConfig,
    PlugwayError,
    ResourceFetch,
    ToolCall,
    ToolList,
    hookimpl,
)

SERVERS = {"crm": {"url": "https://crm.example/mcp"}, "own": {"command": "own", "prefix": "x"}}


class Noting(Plugin):
    """Notes where calls go."""

    def __init__(self, config: PluginConfig, *, name: str) -> None:
        super().__init__(config, name=name)
        self.seen: list[tuple[str, str]] = []

    @hookimpl
    def tool_pre_invoke(self, context: Context) -> None:
        self.seen.append((context.server, context.name))

    @hookimpl
    def resource_pre_fetch(self, context: Context) -> None:
        self.seen.append((context.server, context.name))


async def test_a_file_is_read_as_the_gateway_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "plugway.yaml"
    file.write_text(
        "mcpServers:\n  crm: {url: https://crm.example/mcp, headers: {A: '${TOKEN}'}}\n"
        "plugins:\n"
        "  - {name: late, kind: deny_list, priority: 20, config: {tools: ['*']}}\n"
        "  - {name: early, kind: deny_list, priority: 10, config: {tools: ['${WHAT}']}}\n"
    )
    async with open_plugins(file, env={"TOKEN": "t", "WHAT": "crm__*"}) as plugins:
        assert (await plugins.call(ToolCall("crm__find"))).plugin == "early"
        assert (await plugins.call(ToolCall("find"))).plugin == "late"
    with pytest.raises(ConfigError, match="TOKEN"):
        async with open_plugins(str(file), env={}):
            pass


async def test_a_call_goes_to_the_server_that_its_prefix_stands_for() -> None:
    config = {"mcpServers": SERVERS, "plugins": [{"name": "n", "kind": "noting"}]}
    async with open_plugins(config, kinds={"noting": Noting}) as plugins:
        await plugins.call(ToolCall("crm__find"))
        await plugins.call(ToolCall("x__find"))
        await plugins.call(ToolCall("find"))
        await plugins.call(ToolCall("find"), server="crm")
        await plugins.call(ResourceFetch("crm+file:///a"))
        noting = plugins["n"]
        with pytest.raises(KeyError):
            plugins["other"]
    assert noting.seen == [
        ("crm", "crm__find"),
        ("own", "x__find"),
        ("", "find"),
        ("crm", "find"),
        ("crm", "crm+file:///a"),
    ]


async def test_what_a_plugin_renames_passes_the_pre_hooks_under_its_new_name() -> None:
    class Renames(Plugin):
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(name="x__other")

    config = {
        "mcpServers": SERVERS,
        "plugins": [{"name": "n", "kind": "noting"}, {"name": "r", "kind": "renames"}],
    }
    async with open_plugins(config, kinds={"noting": Noting, "renames": Renames}) as plugins:
        outcome = await plugins.call(ToolCall("crm__find"))
        assert outcome.request == ToolCall("x__other")
        assert plugins["n"].seen == [("crm", "crm__find"), ("own", "x__other")]


async def test_renaming_for_ever_comes_to_an_end() -> None:
    class Restless(Plugin):
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(name=payload.name + "x")

    config = {"plugins": [{"name": "r", "kind": "restless"}]}
    async with open_plugins(config, kinds={"restless": Restless}) as plugins:
        with pytest.raises(PlugwayError, match="more than 3 times, now to 'axxxx'"):
            await plugins.call(ToolCall("a"))


async def test_a_list_passes_its_hook_and_a_payload_without_plugins_passes_unchanged() -> None:
    config = {"plugins": [{"name": "d", "kind": "deny_list", "config": {"tools": ["a"]}}]}
    async with open_plugins(config) as plugins:
        outcome = await plugins.call(ToolList([{"name": "a"}, {"name": "b"}]))
        assert outcome.result == ToolList([{"name": "b"}])
        assert outcome.payload is outcome.result
    async with open_plugins({"plugins": []}) as plugins:
        outcome = await plugins.call(ToolCall("a"))
        assert repr(outcome) == "<Outcome passed unchanged; no plugin was asked>"


async def test_a_plugin_that_asks_for_a_server_is_told_to_give_a_stand_in() -> None:
    class Needs(Plugin):
        @hookimpl
        async def plugin_startup(self, host: Host) -> None:
            await host.server("crm").request("ping")

        @hookimpl
        def tool_pre_invoke(self) -> None: ...

    config = {"mcpServers": SERVERS, "plugins": [{"name": "p", "kind": "needs"}]}
    with pytest.raises(StartupError, match=r"give a stand-in, servers=\{'crm': answer\}"):
        async with open_plugins(config, kinds={"needs": Needs}):
            pass


def test_the_fixture_opens_a_configuration_in_a_plain_function(plugway: Kit) -> None:
    class Once(Plugin):
        asked = 0

        @hookimpl
        def tool_pre_invoke(self) -> Deny | None:
            self.asked += 1
            return Deny("once is enough") if self.asked > 1 else None

    config = {"plugins": [{"name": "o", "kind": "once"}]}
    with plugway.open(config, kinds={"once": Once}) as plugins:
        assert not plugins.call(ToolCall("a")).denied
        assert plugins.call(ToolCall("a")).denied
        assert plugins["o"].asked == 2

"""Hold a plugin to its promises: `check_plugin`."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from plugway.testing.kinds import Kind
from plugway.testing.options import RunOptions
from plugway.testing.servers import Answer
from plugway_hookspecs import Payload, Server
from plugway_hookspecs.frozen import EMPTY


def check_plugin(
    plugin: Kind | str,
    *,
    config: Mapping[str, Any] = EMPTY,
    hooks: Iterable[str] | None = None,
    payloads: Sequence[Payload] = (),
    servers: Mapping[str, Server | Answer] = EMPTY,
    deterministic: bool = True,
    examples: int | None = None,
    **options: Unpack[RunOptions],
) -> None:
    """Hold a plugin to what every plugin promises, with payloads that Hypothesis makes up.

    For each hook that it implements (or each of `hooks`): it changes no payload in place, now or
    later; it returns what the hook allows, and only JSON; it does not raise; the same calls have
    the same outcome (unless `deterministic=False`); it does not block the event loop; it comes to
    an end; it can be cancelled and goes on working; it prints and logs nothing of a payload.

    `payloads` are tried first, and the words in them and in `config` turn up in what is made up,
    so that the plugin has something to react to. `examples` is the number for each hook, by
    default what the Hypothesis profile says. The rest is as in `run`.

    For plain `def` tests. Raises `BrokenPromiseError`, an `AssertionError`, with the smallest
    payload that shows it.
    """
    if _has_loop():
        raise RuntimeError("check_plugin runs an event loop itself: call it in a plain def test")
    try:
        from plugway.testing.check.search import Search  # noqa: PLC0415 - an extra, and slow
    except ModuleNotFoundError as error:
        message = f"check_plugin needs {error.name}: pip install 'plugway[testing]'"
        raise ModuleNotFoundError(message, name=error.name) from error
    search = Search(plugin, config, servers, options, deterministic=deterministic)
    search.run(hooks, payloads, examples)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""Search, hook by hook, for a payload that makes a plugin break a promise."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from plugway.methods import HOOKS
from plugway.testing.check.payloads import Payloads, plainest, words
from plugway.testing.check.promises import BrokenPromiseError
from plugway.testing.check.trial import Trial
from plugway.testing.check.watching import Watcher
from plugway.testing.kinds import Kind, kind_name
from plugway.testing.options import CallOptions, RunOptions
from plugway.testing.plugins import Plugins
from plugway.testing.servers import Answer
from plugway.testing.single import open_plugin, split
from plugway_hookspecs import Payload, Server

TURNS = st.integers(0, 4)
"""How far a call gets before it is cancelled, in turns of the event loop."""


class Search:
    """One plugin, and what a test says about it."""

    def __init__(
        self,
        plugin: Kind | str,
        config: Mapping[str, Any],
        servers: Mapping[str, Server | Answer],
        options: RunOptions,
        *,
        deterministic: bool,
    ) -> None:
        """Prepare to start instances of `plugin`."""
        self._plugin = plugin
        self._config = config
        self._servers = servers
        self._entry, self._fixed = split(options)
        self._deterministic = deterministic

    def run(
        self, hooks: Iterable[str] | None, payloads: Sequence[Payload], examples: int | None
    ) -> None:
        """Search in all hooks that the plugin has, or in `hooks`."""
        made = Payloads(sorted({*words(dict(self._config)), *words(list(payloads))}))
        with start_blocking_portal() as portal:
            for hook in self._hooks(portal, hooks):
                kind = HOOKS[hook][0]
                with ExitStack() as stack:
                    trial = self._trial(hook, portal, stack)
                    for payload in payloads:
                        if type(payload) is kind:
                            portal.call(trial.hold, payload, _plain_answer(hook), self._fixed, 1)
                    self._search(trial, made, portal, examples)

    def _open(self, portal: BlockingPortal, stack: ExitStack) -> Plugins:
        opened = open_plugin(self._plugin, self._config, self._servers, self._entry)
        return stack.enter_context(portal.wrap_async_context_manager(opened))

    def _hooks(self, portal: BlockingPortal, wanted: Iterable[str] | None) -> list[str]:
        with ExitStack() as stack:
            has = self._open(portal, stack).hooks()
        chosen = has if wanted is None else set(wanted)
        if missing := sorted(chosen - has):
            name = kind_name(self._plugin)
            raise TypeError(f"plugin {name!r} has no {missing[0]}, only {', '.join(sorted(has))}")
        return [hook for hook in HOOKS if hook in chosen]

    def _trial(self, hook: str, portal: BlockingPortal, stack: ExitStack) -> Trial:
        twins = self._open(portal, stack), self._open(portal, stack)
        name = kind_name(self._plugin)
        return Trial(name, hook, twins, Watcher(), deterministic=self._deterministic)

    def _search(
        self,
        trial: Trial,
        made: Payloads,
        portal: BlockingPortal,
        examples: int | None,
    ) -> None:
        found: list[BrokenPromiseError] = []
        kind, result = HOOKS[trial.hook]
        answers = st.none() if result is None else made.of(result)

        @settings(
            max_examples=examples or settings().max_examples,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.large_base_example,
                HealthCheck.large_base_example,
                HealthCheck.nested_given,
            ],
            phases=(Phase.generate, Phase.shrink),
        )
        @given(made.of(kind), answers, made.contexts(kind), TURNS)
        def hold(
            payload: Payload, answer: Payload | None, context: CallOptions, turns: int
        ) -> None:
            try:
                about: CallOptions = {**context, **self._fixed}
                portal.call(trial.hold, payload, answer, about, turns)
            except BrokenPromiseError as error:
                found.append(error)
                raise

        try:
            hold()
        except (BrokenPromiseError, Flaky):  # flaky: it depends on the calls before
            smallest = min(found, key=lambda error: len(str(error)))
            raise smallest.again() from smallest.__cause__


def _plain_answer(hook: str) -> Payload | None:
    result = HOOKS[hook][1]
    return None if result is None else plainest(result)

"""Chains of all kinds, for Hypothesis to draw."""

from collections.abc import Sequence
from dataclasses import replace

from chain_model import ANSWERS, ENDINGS, SENDS, SERVER, Plugin
from hypothesis import strategies as st

from plugway_hookspecs import Mode, OnError

NAMES = [f"p{number}" for number in range(6)]
MODES = st.sampled_from(Mode)
ON_ERROR = st.sampled_from(OnError)
PRIORITIES = st.integers(1, 3)
PLACES = st.sampled_from(["", "", "tryfirst", "trylast"])
CONDITIONS = st.sampled_from([None, None, None, True, False])
NOTES = st.lists(st.sampled_from(["+a", "-a", "+b", "-b"]), max_size=2).map(tuple)
DOES = list(ANSWERS)
ENDS = [ending for ending in ENDINGS if ending != "time out"]  # that would end the rest as well
AWAITS = st.none() | st.integers(0, 3)


def repeated(answers: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(answers), min_size=1, max_size=2).map(tuple)


def consistent(plugin: Plugin) -> Plugin:
    """Leave out what can't be together: a plain `def` can't time out, a blind one can't note."""
    if "time out" in plugin.does and plugin.awaits is None:
        plugin = replace(plugin, awaits=0)
    return replace(plugin, notes=()) if plugin.blind else plugin


def plugins(
    does: Sequence[str] = DOES,
    modes: st.SearchStrategy[Mode] = MODES,
    priorities: st.SearchStrategy[int] = PRIORITIES,
) -> st.SearchStrategy[Plugin]:
    return st.builds(
        Plugin,
        does=repeated(does),
        mode=modes,
        on_error=ON_ERROR,
        priority=priorities,
        place=PLACES,
        matches=CONDITIONS,
        passed_while_disabled=st.booleans(),
        notes=NOTES,
        awaits=AWAITS,
        blind=st.booleans(),
    ).map(consistent)


def wrappers(
    ends: Sequence[str] = ENDS,
    sends: Sequence[str] = SENDS,
    modes: st.SearchStrategy[Mode] = MODES,
    priorities: st.SearchStrategy[int] = PRIORITIES,
) -> st.SearchStrategy[Plugin]:
    return st.builds(
        Plugin,
        does=repeated(ends),
        mode=modes.filter(lambda mode: mode is not Mode.BACKGROUND),
        on_error=ON_ERROR,
        priority=priorities,
        place=PLACES,
        matches=CONDITIONS,
        passed_while_disabled=st.booleans(),
        notes=NOTES,
        blind=st.booleans(),
        sends=st.lists(st.sampled_from(sends), max_size=2).map(tuple),
        catches=st.booleans(),
    ).map(consistent)


def chains(
    *kinds: st.SearchStrategy[Plugin], max_size: int = len(NAMES)
) -> st.SearchStrategy[list[Plugin]]:
    """Draw some plugins, and name them after their place in the configuration."""
    one = st.one_of(*(kinds or (plugins(), plugins(), wrappers())))
    return st.lists(one, max_size=max_size).map(named)


def named(drawn: Sequence[Plugin]) -> list[Plugin]:
    return [replace(plugin, name=name) for name, plugin in zip(NAMES, drawn, strict=False)]


SERVERS = st.lists(st.sampled_from(SERVER), min_size=1, max_size=3)

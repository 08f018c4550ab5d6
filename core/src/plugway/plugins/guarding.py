"""What the steps of a plugin guard, and what other steps in their place would not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from plugway.executor.chain import Chain
from plugway.executor.steps import Step, opened

Guarded: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""Step and hook to what the step may do there, or does by failing; nothing, if it observes."""


def guarded(chains: Iterable[Chain[Any]]) -> Guarded:
    """Return what the steps in some chains guard."""
    return {
        (step.scope.plugin, step.scope.hook): _rights(step)
        for chain in chains
        for step in opened(chain.steps)
    }


def _rights(step: Step) -> frozenset[str]:
    rights = {"deny": step.may_deny, "modify": step.may_modify, "fail closed": step.fails_closed}
    return frozenset(right for right, has in rights.items() if has)


def weaker(before: Guarded, after: Guarded) -> Sequence[str]:
    """Say what is guarded `before`, and not, or not in the same way, `after`."""
    lost = {place: rights - after.get(place, frozenset()) for place, rights in before.items()}
    return [
        f"{step!r} would not {' or '.join(sorted(rights))} in {hook} any more"
        for (step, hook), rights in lost.items()
        if rights
    ]

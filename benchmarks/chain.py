"""The chain against a bare loop awaiting the same functions, in one run.

    uv run python benchmarks/chain.py [--rounds 15] [--json FILE] [CASE...]

Every figure is the median over interleaved rounds, in µs of CPU; the ratio is what counts. Budgets
are printed beside the figures and never fail the run: a busy machine is no reason to stop.
"""

import argparse
import asyncio
import logging
import statistics
from dataclasses import dataclass
from pathlib import Path

from chain_cases import Case, cases
from measuring import Sample, describe, in_turns, machine, median, number, table, write_json

PASSES = 3


@dataclass(frozen=True)
class Figure:
    """What one case came to, in µs a call."""

    case: str
    versus: str
    base: Sample
    chain: Sample
    ratio: float
    """The median of the rounds' own ratios, of CPU."""
    budget: str = ""
    value: float | None = None
    """The figure that the budget is about."""
    met: bool | None = None


async def run(chosen: list[Case], rounds: int) -> list[Figure]:
    """Go through the cases several times, so that a busy minute does not fall on one of them."""
    works = [[case.base, case.work, *([case.less] if case.less else [])] for case in chosen]
    samples: list[list[list[Sample]]] = [[[] for _ in each] for each in works]
    for _ in range(PASSES):
        for own, each in zip(samples, works, strict=True):
            for kept, new in zip(own, await in_turns(each, rounds), strict=True):
                kept.extend(new)
    return [figure(case, *own) for case, own in zip(chosen, samples, strict=True)]


def figure(
    case: Case, bases: list[Sample], chains: list[Sample], less: list[Sample] | None = None
) -> Figure:
    if less is not None:
        bases, chains = _without(bases, less), _without(chains, less)
    base, chain = median(bases), median(chains)
    ratio = statistics.median(c.cpu / b.cpu for b, c in zip(bases, chains, strict=True))
    if case.budget is None:
        return Figure(case.name, case.versus, base, chain, ratio)
    value = case.budget.of(base.cpu, chain.cpu, ratio)
    met = value <= case.budget.limit
    return Figure(case.name, case.versus, base, chain, ratio, case.budget.text, value, met)


def _without(samples: list[Sample], less: list[Sample]) -> list[Sample]:
    pairs = zip(samples, less, strict=True)
    return [Sample(each.cpu - other.cpu, each.wall - other.wall) for each, other in pairs]


def row(of: Figure) -> list[str]:
    budget = "" if of.value is None else number(of.value)
    met = {None: "", True: "yes", False: "NO"}[of.met]
    figures = [number(of.base.cpu), number(of.chain.cpu), number(of.ratio)]
    return [of.case, of.versus, *figures, budget, of.budget, met]


async def main(rounds: int, wanted: list[str], file: Path | None) -> None:
    # a plugin's failure is logged; what a handler makes of it is not the chain's cost
    logger = logging.getLogger("plugway")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    facts = machine("pluggy", "anyio")
    print(f"{describe(facts)}; medians of {PASSES * rounds} rounds")
    chosen = [case for case in cases() if not wanted or any(word in case.name for word in wanted)]
    figures = await run(chosen, rounds)
    head = ["case", "compared with", "its µs", "chain µs", "ratio", "figure", "budget", "met"]
    print(table(head, [row(each) for each in figures], left=2))
    if file is not None:
        write_json(file, facts, figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The chain against a bare loop.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only cases with this in the name")
    options = parser.parse_args()
    asyncio.run(main(options.rounds, options.cases, options.json))

"""Run the official MCP conformance suite against the everything server and through plugway.

    just conformance [TOPOLOGY...]      direct, http, second, stdio, chained, virtual, client

Prints a table, and what passes without a gateway and does not pass through it; then it ends with 1.
What the suite said about each scenario is kept in the folder that it names.
"""

import argparse
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.to_thread
from conformance_report import Column, Report, table
from conformance_suite import Findings, Suite, SuiteError, install
from conformance_topologies import TOPOLOGIES, StartError, running

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "build" / "conformance"
RUNS: dict[str, list[str]] = {
    **{each: ["--spec-version", each] for each in ("2025-06-18", "2025-11-25", "2026-07-28")},
    **{f"required-{each}": ["--requirements", each] for each in ("2025-11-25", "2026-07-28")},
}
"""The runs of the suite: everything of a version, and what a version requires."""

CLIENT = Path(__file__).with_name("conformance_client.py")
CLIENT_SCENARIOS: dict[str, tuple[str, ...]] = {
    "2025-06-18": ("initialize", "tools_call"),
    "2025-11-25": (
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
}
"""The client scenarios that are not about authorization."""


async def servers(suite: Suite, name: str) -> Column:
    """Run all server scenarios on one topology."""
    folder = OUTPUT / name
    findings: dict[str, Findings] = {}
    try:
        async with running(name, folder) as url:
            for run, wanted in RUNS.items():
                findings[run] = await suite.server(url, wanted, folder / run)
    except StartError as error:
        return {run: Findings(problem=str(error)) for run in RUNS}
    return findings


async def clients(suite: Suite, name: str, option: str) -> Column:
    """Run the client scenarios with the SDK's client, as the option says."""
    findings: dict[str, Findings] = {}
    command = " ".join([sys.executable, str(CLIENT), option]).strip()
    for spec, scenarios in CLIENT_SCENARIOS.items():
        found: list[Findings] = []
        for scenario in scenarios:
            output = OUTPUT / name / spec / scenario
            found.append(await suite.client(command, scenario, spec, output))
        findings[spec] = merged(found)
    return findings


def merged(found: list[Findings]) -> Findings:
    """Return the findings of several runs as those of one."""
    return Findings(
        scenarios={name: checks for each in found for name, checks in each.scenarios.items()},
        successes=sum(each.successes for each in found),
        verdict=all(each.passed for each in found),
        problem="; ".join(each.problem for each in found if each.problem),
    )


async def main(wanted: list[str]) -> int:
    """Run the topologies that are wanted; return the exit code."""
    suite = await anyio.to_thread.run_sync(install)
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(OUTPUT, ignore_errors=True))
    print(f"{described()}\nThe suite's words: {OUTPUT}/TOPOLOGY/RUN/SCENARIO\n", flush=True)
    report = Report()
    tables: list[str] = []
    if chosen := [name for name in TOPOLOGIES if name in wanted]:
        rows = {"direct": await servers(suite, "direct")}
        report.expect("direct", rows["direct"])
        for name in chosen:
            rows[name] = rows.get(name) or await servers(suite, name)
            report.add(name, rows["direct"], rows[name])
        tables.append(table("server", rows))
    if "client" in wanted:
        rows = {"client-direct": await clients(suite, "client-direct", "--direct")}
        report.expect("client-direct", rows["client-direct"])
        rows["client"] = await clients(suite, "client", "")
        report.add("client", rows["client-direct"], rows["client"])
        tables.append(table("client", rows))
    if report:
        print(f"What does not pass, or passes only without the gateway:\n\n{report}\n")
    print("\n\n".join(tables), end="\n\n")
    if report:
        print("Something is lost on the way through the gateway: see above.")
        return 1
    print("Whatever passes without the gateway passes through it.")
    return 0


def described() -> str:
    """Say what ran where."""
    return (
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, mcp {version('mcp')}, "
        f"plugway {version('plugway')}, {platform.system()} {platform.machine()}"
    )


if __name__ == "__main__":
    names = [*TOPOLOGIES, "client"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topology", nargs="*", help=", ".join(names))
    chosen_names: list[str] = parser.parse_args().topology or names
    if unknown := [name for name in chosen_names if name not in names]:
        parser.error(f"there is no topology {unknown[0]!r}; there are {', '.join(names)}")
    try:
        sys.exit(anyio.run(main, chosen_names))
    except SuiteError as error:
        sys.exit(f"conformance: {error}")

"""The official conformance suite: install it, run it, and read what it found."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

MANIFEST = Path(__file__).with_name("package.json")
SUITE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
SCENARIO_MILLISECONDS = 30_000
RUN_SECONDS = 900.0
"""How long a whole run may take, so that nothing hangs for ever."""

SEVERITY = ("SUCCESS", "INFO", "SKIPPED", "WARNING", "FAILURE")
"""What the suite says about a check, from good to bad."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the suite says about one requirement."""

    status: str
    message: str = ""


Checks = Mapping[str, Check]


class SuiteError(Exception):
    """The suite could not be installed or run."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one run of the suite found."""

    scenarios: Mapping[str, Checks] = field(default_factory=dict[str, Checks])
    """Each with its checks, by their ids."""
    successes: int = 0
    """How many checks succeeded, in all scenarios."""
    verdict: bool = False
    """Whether the suite itself was content."""
    problem: str = ""
    """Why there was no run."""

    @property
    def passed(self) -> frozenset[str]:
        """The scenarios in which nothing failed."""
        return frozenset(
            name
            for name, checks in self.scenarios.items()
            if checks and all(check.status != "FAILURE" for check in checks.values())
        )


@dataclass(frozen=True, slots=True)
class Suite:
    """The installed suite."""

    node: Path
    script: Path

    async def server(self, url: str, wanted: list[str], output: Path) -> Findings:
        """Run the server scenarios of a version, or of a set of requirements, against `url`."""
        given = ["--suite", "all", *wanted] if wanted[0] == "--spec-version" else wanted
        timeout = ["--timeout", str(SCENARIO_MILLISECONDS)]
        return await self._run(["server", "--url", url, *given, *timeout], output)

    async def client(self, command: str, scenario: str, version: str, output: Path) -> Findings:
        """Run one client scenario with `command`, which is given the harness's URL."""
        which = ["--scenario", scenario, "--spec-version", version]
        timeout = ["--timeout", str(SCENARIO_MILLISECONDS)]
        arguments = ["client", "--command", command, *which, *timeout]
        findings = await self._run(arguments, output, only=scenario)
        if findings.problem:
            return findings
        log = await anyio.Path(output / "suite.log").read_text()
        failed = "CLIENT EXITED WITH ERROR" in log or "Client timed out" in log
        ended = Check("WARNING", "see its stderr.txt") if failed else Check("SUCCESS")
        checks = {**findings.scenarios[scenario], "client-got-every-answer": ended}
        return replace(findings, scenarios={scenario: checks})

    async def _run(self, arguments: list[str], output: Path, only: str = "") -> Findings:
        await anyio.to_thread.run_sync(_empty, output)
        command = [str(self.node), str(self.script), *arguments, "-o", str(output)]
        try:
            with anyio.fail_after(RUN_SECONDS):
                done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
        except TimeoutError:
            return Findings(problem=f"the suite took more than {RUN_SECONDS:g} s")
        log = done.stdout.decode(errors="replace")
        names = (
            [only] if only else re.findall(r"^=== Running scenario: (\S+) ===$", log, re.MULTILINE)
        )
        return await anyio.to_thread.run_sync(_read, output, names, log, done.returncode == 0)


def install() -> Suite:
    """Return the suite, installed with npm into the user's cache unless it is there."""
    npm = shutil.which("npm")
    if npm is None:
        raise SuiteError(
            "npm is not on the PATH, and the conformance suite comes from it: install Node.js (any "
            "version with npm will do; the suite's own Node is installed beside it)"
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "plugway" / "conformance"
    suite = Suite(folder / "node_modules/node/bin/node", folder / SUITE)
    manifest, installed = MANIFEST.read_text(), folder / "package.json"
    there = suite.node.is_file() and suite.script.is_file() and installed.is_file()
    if there and installed.read_text() == manifest:
        return suite
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    installed.write_text(manifest)
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not suite.node.is_file():
        said = (done.stderr + done.stdout).strip()
        shutil.rmtree(folder)
        raise SuiteError(f"npm could not install the conformance suite into {folder}: {said}")
    return suite


def _empty(output: Path) -> None:
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)


def _read(output: Path, names: list[str], log: str, verdict: bool) -> Findings:
    (output / "suite.log").write_text(log)
    scenarios: dict[str, Checks] = {}
    successes = 0
    for name in names:
        for folder in (*output.glob(f"server-{name}-2*T*"), *output.glob(f"{name}-2*T*")):
            folder.rename(output / name)
        found = _checks(output / name / "checks.json")
        scenarios[name] = _worst(found)
        successes += sum(check.status == "SUCCESS" for _, check in found)
    problem = "" if scenarios else f"nothing was run; see {output / 'suite.log'}"
    return Findings(scenarios, successes, verdict, problem)


def _checks(file: Path) -> list[tuple[str, Check]]:
    if not file.is_file():
        return [("scenario", Check("FAILURE", "it did not come to an end; see suite.log"))]
    return [
        (check["id"], Check(check["status"], check.get("errorMessage") or ""))
        for check in json.loads(file.read_text())
    ]


def _worst(found: list[tuple[str, Check]]) -> Checks:
    """Return one result for every id: the suite gives some ids to several checks."""
    worst: dict[str, Check] = {}
    for name, check in found:
        known = worst.get(name, check)
        worst[name] = max(known, check, key=lambda each: SEVERITY.index(each.status))
    return worst

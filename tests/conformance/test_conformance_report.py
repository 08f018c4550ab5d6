from pathlib import Path

import pytest
from conformance_report import EXCEPTED, Report, losses, table
from conformance_suite import Check, Findings, SuiteError, install

GOOD, BAD, WARNED = Check("SUCCESS"), Check("FAILURE", "it broke"), Check("WARNING", "it should")


def found(verdict: bool = True, /, **checks: Check) -> Findings:
    return Findings({"a-scenario": checks}, verdict=verdict)


def test_what_passes_directly_and_through_is_no_loss() -> None:
    assert not list(losses(found(one=GOOD), found(one=GOOD)))


@pytest.mark.parametrize("now", [BAD, WARNED, Check("SKIPPED"), Check("INFO")])
def test_less_than_a_success_through_the_gateway_is_a_loss(now: Check) -> None:
    (loss,) = losses(found(one=GOOD), found(one=now))
    assert (loss.scenario, loss.check, loss.status) == ("a-scenario", "one", now.status)


def test_a_check_that_was_not_reached_is_a_loss() -> None:
    (loss,) = losses(found(one=GOOD, two=GOOD), found(two=GOOD))
    assert (loss.check, loss.status) == ("one", "not reached")


def test_a_scenario_that_was_not_run_is_a_loss() -> None:
    (loss,) = losses(found(one=GOOD), Findings())
    assert loss.status == "not run"


def test_a_failure_that_only_the_gateway_has_is_a_loss() -> None:
    (loss,) = losses(found(one=GOOD), found(one=GOOD, other=BAD))
    assert (loss.check, loss.message) == ("other", "it broke")


def test_what_fails_directly_is_not_held_against_the_gateway() -> None:
    assert not list(losses(found(one=BAD), found(one=BAD)))


@pytest.mark.parametrize("excepted", EXCEPTED)
def test_an_excepted_check_need_not_apply_but_may_not_fail(excepted: str) -> None:
    def lost(**now: Check) -> bool:
        direct = Findings({"a-scenario": {excepted: GOOD}})
        return any(losses(direct, Findings({"a-scenario": now})))

    assert not lost(**{excepted: Check("INFO")})
    assert not lost(**{excepted: Check("SKIPPED")})
    assert lost(**{excepted: WARNED})
    assert lost(**{excepted: BAD})
    assert lost(other=GOOD)


def test_topologies_that_lose_the_same_are_reported_together() -> None:
    report = Report()
    direct = {"2026-07-28": found(one=GOOD)}
    for name in ("http", "stdio"):
        report.add(name, direct, {"2026-07-28": found(one=BAD)})
    assert report
    assert str(report).splitlines() == [
        "a-scenario",
        "  http: 2026-07-28",
        "  stdio: 2026-07-28",
        "    one: FAILURE: it broke",
    ]


def test_a_topology_that_did_not_start_is_reported_once() -> None:
    report = Report()
    dead = Findings(problem="did not start")
    report.add("http", {"a": found(one=GOOD), "b": found(one=GOOD)}, {"a": dead, "b": dead})
    assert str(report) == "http: did not start"


def test_fixtures_that_fail_without_a_gateway_are_reported() -> None:
    report = Report()
    report.expect("direct", {"2026-07-28": found(False, one=BAD)})
    assert str(report) == "direct: 2026-07-28: without a gateway: a-scenario"


def test_the_table_counts_scenarios_and_checks() -> None:
    column = {"2026-07-28": found(one=BAD), "required-2026-07-28": found(one=GOOD)}
    assert table("server", {"http": column}).splitlines()[-1] == "| http | 0/1 (0) | pass |"


def test_without_npm_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SuiteError, match=r"npm is not on the PATH.*install Node\.js"):
        install()

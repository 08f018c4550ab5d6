"""What NoWeekends does; `pip install 'plugway[testing]' . && pytest` runs it."""

from datetime import datetime, tzinfo

import no_weekends
import pytest
from no_weekends import NoWeekends

from plugway.testing import Kit, check_plugin
from plugway_hookspecs import ToolCall


def today_is(day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls.fromisoformat(day)

    monkeypatch.setattr(no_weekends, "datetime", Clock)


def test_denies_on_saturday(plugway: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    today_is("2026-01-03", monkeypatch)
    outcome = plugway.run(NoWeekends, ToolCall("crm__find"), config={"reason": "gone fishing"})
    assert outcome.denied
    assert outcome.code == "weekend"
    assert outcome.reason == "gone fishing"


def test_lets_pass_on_monday(plugway: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    today_is("2026-01-05", monkeypatch)
    outcome = plugway.run(NoWeekends, ToolCall("crm__find"))
    assert not outcome.denied
    assert outcome.record[0].applied == "pass"


def test_keeps_the_promises_of_a_plugin() -> None:
    check_plugin(NoWeekends, payloads=[ToolCall("crm__find", {"name": "Ada"})])

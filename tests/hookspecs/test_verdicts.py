"""What a deny may hold: it is sent, logged and written down by those who don't check it again."""

from enum import IntEnum, StrEnum
from typing import Any

import pytest

from plugway_hookspecs import Deny, NotJsonError


class Reason(StrEnum):
    NO = "no"


class Status(IntEnum):
    GONE = 410


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": None},
        {"reason": object()},
        {"reason": "no", "code": 5},
        {"reason": "no", "description": ["x"]},
        {"reason": "no", "mcp_error_code": "12"},
        {"reason": "no", "mcp_error_code": True},
        {"reason": "no", "http_status": 4.0},
    ],
)
def test_a_field_of_another_type_is_refused_where_the_deny_is_made(fields: Any) -> None:
    with pytest.raises(NotJsonError, match=rf" instead of .* at {list(fields)[-1]}$"):
        Deny(**fields)


def test_subclasses_of_texts_and_numbers_become_plain_ones() -> None:
    deny = Deny(Reason.NO, mcp_error_code=Status.GONE)
    assert type(deny.reason) is str
    assert type(deny.mcp_error_code) is int
    assert (deny.reason, deny.mcp_error_code) == ("no", 410)


def test_a_reason_that_quotes_a_lone_surrogate_can_be_encoded() -> None:
    deny = Deny("not \ud800 nor \u00e9", code="\ud800")
    assert deny.reason.encode() == "not \\ud800 nor \u00e9".encode()
    assert deny.code.encode() == rb"\ud800"

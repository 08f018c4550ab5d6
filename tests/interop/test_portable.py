"""A server on the TypeScript SDK's second generation, for both eras, over stdio and HTTP."""

from collections.abc import Callable

import pytest
from foreign_tours import (
    MEMO,
    ROOT_NAME,
    THROUGH,
    TO_PORTABLE,
    TO_PORTABLE_HTTP,
    Route,
    Seen,
)

pytestmark = pytest.mark.interop

CASES = [
    *((route, "portable") for route in [*THROUGH, *TO_PORTABLE]),
    *((route, "Portable_HTTP") for route in [*THROUGH, *TO_PORTABLE_HTTP]),
]


@pytest.fixture(scope="session", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def seen(request: pytest.FixtureRequest, tour: Callable[[Route, str], Seen]) -> Seen:
    return tour(*request.param)


def test_structured_content_arrives_beside_its_text(seen: Seen) -> None:
    assert seen["structured"].only()["structuredContent"] == {"greeting": "Hello, Ada"}
    assert seen["structured"].texts() == ["Hello, Ada"]


def test_a_prompt_is_filled_in(seen: Seen) -> None:
    (message,) = seen["prompt"].only()["messages"]
    assert message["content"]["text"] == "What is there in Rome?"


def test_a_resource_is_read(seen: Seen) -> None:
    (contents,) = seen["read"].only()["contents"]
    assert contents["uri"] == seen.uri(MEMO)
    assert contents["text"] == "nothing to do"


def test_an_argument_is_completed(seen: Seen) -> None:
    assert seen["completion"].only()["completion"]["values"] == ["Paris", "Prague"]


def test_a_tool_that_needs_input_gets_it_from_the_client(seen: Seen) -> None:
    assert seen["elicitation"].texts() == ["booked dinner for Ada"]
    (question,) = seen["elicitation"].of_kind("elicitation")
    assert question["message"].endswith("Who has dinner?")


def test_a_tool_may_ask_for_two_things_in_one_round(seen: Seen) -> None:
    assert seen["advice"].texts() == [f"because in {ROOT_NAME}"]
    (question,) = seen["advice"].of_kind("sampling")
    assert question["messages"][0]["content"]["text"] == "What to do?"
    assert len(seen["advice"].of_kind("roots")) == 1


def test_a_subscriber_hears_of_a_changed_resource(seen: Seen) -> None:
    assert not [answer for answer in seen["subscription"].answers if "error" in answer]
    assert seen["subscription"].of_kind("updated")[0]["uri"] == seen.uri(MEMO)

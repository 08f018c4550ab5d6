"""`server-everything`, with sessions over stdio and HTTP, as clients of every era see it."""

import json
from collections.abc import Callable

import pytest
from foreign_tours import (
    DYNAMIC,
    ROOT_NAME,
    THROUGH,
    TO_EVERYTHING,
    TO_EVERYTHING_HTTP,
    Route,
    Seen,
)

pytestmark = pytest.mark.interop


CASES = [
    *((route, "everything") for route in [*THROUGH, *TO_EVERYTHING]),
    *((route, "everything-http") for route in [*THROUGH, *TO_EVERYTHING_HTTP]),
]


@pytest.fixture(scope="session", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def seen(request: pytest.FixtureRequest, tour: Callable[[Route, str], Seen]) -> Seen:
    return tour(*request.param)


def test_a_tool_answers_with_text(seen: Seen) -> None:
    assert seen["text"].texts() == ["Echo: hi"]


def test_structured_content_arrives_beside_its_text(seen: Seen) -> None:
    weather = {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
    assert seen["structured"].only()["structuredContent"] == weather
    assert json.loads(seen["structured"].texts()[0]) == weather


def test_an_image_arrives(seen: Seen) -> None:
    (image,) = (block for block in seen["image"].only()["content"] if block["type"] == "image")
    assert image["mimeType"] == "image/png"
    assert image["data"].startswith("iVBOR")


def test_resource_links_have_addresses_that_the_client_can_read(seen: Seen) -> None:
    blocks = seen["links"].only()["content"]
    links = [block["uri"] for block in blocks if block["type"] == "resource_link"]
    assert len(links) == 2
    assert all(link.startswith(seen.uri("demo://resource/dynamic/")) for link in links)


def test_an_unknown_tool_is_an_error(seen: Seen) -> None:
    (answer,) = seen["unknown"].answers
    if seen.route.to == "gateway":
        assert answer["error"]["code"] == -32602
    else:
        assert answer["isError"]


def test_what_a_server_says_of_invalid_arguments_is_kept(seen: Seen) -> None:
    answer = seen["invalid"].only()
    assert answer["isError"]
    assert "expected number" in answer["content"][0]["text"]


def test_a_prompt_is_filled_in(seen: Seen) -> None:
    (message,) = seen["prompt"].only()["messages"]
    assert message["content"]["text"] == "What's weather in Rome?"


def test_a_resource_is_read_through_its_template(seen: Seen) -> None:
    (contents,) = seen["read"].only()["contents"]
    assert contents["uri"] == seen.uri(DYNAMIC)
    assert contents["text"].startswith("Resource 7:")


def test_an_argument_is_completed_in_the_light_of_another(seen: Seen) -> None:
    assert seen["completion"].only()["completion"]["values"] == ["Alice"]


def test_progress_is_followed(seen: Seen) -> None:
    assert "Long running operation completed" in seen["progress"].texts()[0]
    # the second TypeScript SDK adds steps of its own where it answers a question on the way
    steps = [step for step in seen["progress"].of_kind("progress") if "total" in step]
    # what comes in one piece with an answer is dropped by TypeScript's clients, and what comes
    # between two rounds of a request by the gateway
    heard = [step["progress"] for step in steps]
    assert len(heard) >= 2
    assert heard == sorted(set(heard) & set(range(1, 7)))
    assert {step["total"] for step in steps} == {6}


def test_elicitation_reaches_the_client_and_its_answer_the_server(seen: Seen) -> None:
    assert "- Name: Ada" in seen["elicitation"].texts()[1]
    (question,) = seen["elicitation"].of_kind("elicitation")
    assert question["message"].endswith("Please provide inputs for the following fields:")
    assert question["requestedSchema"]["required"] == ["name"]


def test_sampling_reaches_the_client_and_its_answer_the_server(seen: Seen) -> None:
    assert '"text": "because"' in seen["sampling"].texts()[0]
    (question,) = seen["sampling"].of_kind("sampling")
    assert "context: why?" in question["messages"][0]["content"]["text"]


def test_roots_of_the_client_reach_the_server(seen: Seen) -> None:
    assert f"1. {ROOT_NAME}\n" in seen["roots"].texts()[0]


def test_a_subscriber_hears_of_a_changed_resource(seen: Seen) -> None:
    assert not [answer for answer in seen["subscription"].answers if "error" in answer]
    assert seen["subscription"].of_kind("updated")[0]["uri"] == seen.uri(DYNAMIC)

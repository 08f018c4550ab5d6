"""URLs that a server of 2025-11-25 wants visited first, as a question of 2026-07-28."""

from collections.abc import Mapping
from typing import Any

from plugway.jsonrpc import URL_ELICITATION_REQUIRED
from plugway.jsonvalues import is_array, is_object
from plugway_hookspecs import ServerError


def url_questions(error: ServerError) -> dict[str, Any] | None:
    """Return the `input_required` result that a "URL elicitation required" error stands for.

    None for any other error. There is no such error since 2026-07-28.
    """
    if error.code != URL_ELICITATION_REQUIRED or not is_object(error.data):
        return None
    wanted = error.data.get("elicitations")
    if not is_array(wanted) or not wanted:
        return None
    questions = {
        f"url-{index}": {
            "method": "elicitation/create",
            "params": {
                key: value for key, value in each.items() if key not in {"elicitationId", "_meta"}
            }
            | {"mode": "url"},
        }
        for index, each in enumerate(wanted)
        if is_object(each)
    }
    return {"resultType": "input_required", "inputRequests": questions}


def with_urls(error: ServerError, questions: Mapping[str, Any]) -> ServerError:
    """Return such an error with those questions in it that are left of `url_questions(error)`."""
    assert is_object(error.data)  # noqa: S101 - for the type checker
    left = [
        {**questions[key]["params"], **_id_of(wanted)}
        for index, wanted in enumerate(error.data["elicitations"])
        if (key := f"url-{index}") in questions
    ]
    data = {**error.data, "elicitations": left}
    return ServerError(error.message, server=error.server, code=error.code, data=data)


def _id_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if key == "elicitationId"}

"""URLs that a server of 2025-11-25 wants visited first, as a question of 2026-07-28."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from plugway.jsonrpc import UPSTREAM_ERROR, URL_ELICITATION_REQUIRED, RpcError
from plugway.jsonvalues import is_array, is_object
from plugway_hookspecs import ServerError


def url_questions(error: ServerError) -> dict[str, Any] | None:
    """Return the `input_required` result that a "URL elicitation required" error stands for.

    None for any other error. There is no such error since 2026-07-28. Raises `RpcError`, without
    the server's words, where it does not say which URLs: plugins could not see what it asks.
    """
    if error.code != URL_ELICITATION_REQUIRED:
        return None
    wanted = error.data.get("elicitations") if is_object(error.data) else None
    if not is_array(wanted) or not wanted or not all(_is_of_a_url(each) for each in wanted):
        message = f"Server {error.server!r} wants URLs visited first, and does not say which"
        raise RpcError(UPSTREAM_ERROR, message) from error
    questions = {
        f"url-{index}": {
            "method": "elicitation/create",
            "params": {
                key: value for key, value in each.items() if key not in {"elicitationId", "_meta"}
            }
            | {"mode": "url"},
        }
        for index, each in enumerate(wanted)
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


def _is_of_a_url(wanted: Any) -> TypeGuard[Mapping[str, Any]]:
    texts = ("url", "message")
    return is_object(wanted) and all(isinstance(wanted.get(key), str) for key in texts)


def _id_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if key == "elicitationId"}

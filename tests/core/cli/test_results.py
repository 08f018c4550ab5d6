"""How results of all kinds read on a terminal."""

from typing import Any

import pytest

from plugway.cli.app import App
from plugway.cli.results import show_result

IMAGE = {"type": "image", "data": "AAAAAAAA", "mimeType": "image/png"}
EMBEDDED = {"type": "resource", "resource": {"uri": "a://b", "text": "inside"}}
LINK = {"type": "resource_link", "uri": "a://b", "name": "b"}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [{"type": "text", "text": "a\nb"}]}, "a\nb\n"),
        ({"content": [IMAGE]}, "[image/png, 6 bytes]\n"),
        ({"content": [EMBEDDED, LINK]}, "inside\n[link to a://b]\n"),
        ({"content": [], "structuredContent": {"a": 1}}, '{\n  "a": 1\n}\n'),
        ({"content": [{"type": "text", "text": "x"}], "structuredContent": {"a": 1}}, "x\n"),
        ({"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]}, "user: hi\n"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "user: [image/png, 6 bytes]\n"),
        ({"contents": [{"uri": "a://b", "blob": "AAAA"}]}, "[data, 3 bytes]\n"),
        ({"content": [{"type": "new", "x": 1}]}, '{\n  "type": "new",\n  "x": 1\n}\n'),
        ({}, ""),
    ],
)
def test_a_result_is_shown_as_text(
    capsys: pytest.CaptureFixture[str], result: dict[str, Any], text: str
) -> None:
    show_result(App(), result)
    assert capsys.readouterr().out == text


def test_what_a_server_wants_to_know_first_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(App(), {"resultType": "input_required", "inputRequests": {"q": {"method": "m"}}})
    out = capsys.readouterr().out
    assert "wants an answer" in out
    assert '"method": "m"' in out

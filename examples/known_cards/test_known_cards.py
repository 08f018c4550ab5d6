"""What KnownCards does; `pip install 'plugway[testing]' . && pytest` runs it."""

from typing import Any

from known_cards import KnownCards

from plugway.testing import open_plugins
from plugway_builtin_plugins.pii_filter import PiiFindings
from plugway_hookspecs import ToolCall

CONFIG = {
    "plugins": [
        {"name": "pii", "kind": "pii_filter"},
        {"name": "cards", "kind": "known_cards", "config": {"numbers": ["4111111111111111"]}},
    ]
}


async def test_leaves_known_numbers_alone_and_no_others() -> None:
    arguments = {"paid_with": "4111 1111 1111 1111, 5555 5555 5555 4444", "mail": "ada@example.com"}
    async with open_plugins(CONFIG, kinds={"known_cards": KnownCards}) as plugins:
        outcome = await plugins.call(ToolCall("shop__pay", arguments))
    assert isinstance(outcome.request, ToolCall)
    assert outcome.request.arguments == {
        "paid_with": "4111 1111 1111 1111, [CREDIT_CARD]",
        "mail": "[EMAIL]",
    }


async def test_the_hook_can_be_called_alone() -> None:
    findings: list[dict[str, Any]] = [
        {"type": "credit_card", "text": "4111-1111-1111-1111"},
        {"type": "phone", "text": "4111111111111111"},
    ]
    async with open_plugins(CONFIG, kinds={"known_cards": KnownCards}) as plugins:
        outcome = await plugins.call(PiiFindings(findings, [], "tool_post_invoke"))
    assert isinstance(outcome.payload, PiiFindings)
    assert outcome.payload.findings == findings[1:]

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    TextContent,
)

SERVER = StdioServerParameters(
    command=sys.executable, args=[str(Path(__file__).with_name("everything.py"))]
)


async def fill_in(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    assert isinstance(params, ElicitRequestFormParams)
    fields: dict[str, Any] = params.requested_schema["properties"]
    return ElicitResult(action="accept", content={name: f"my {name}" for name in fields})


async def said(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_in_a_session_it_pushes_its_questions() -> None:
    with anyio.fail_after(10):
        async with Client(SERVER, mode="legacy", elicitation_callback=fill_in) as client:
            answer = await said(client, "test_elicitation", message="Who are you?")
    assert "accept" in answer
    assert "my email" in answer


async def test_without_a_session_it_answers_with_its_questions_round_by_round() -> None:
    with anyio.fail_after(10):
        async with Client(SERVER, mode="auto", elicitation_callback=fill_in) as client:
            answer = await said(client, "test_input_required_result_multi_round")
    assert answer == "my name likes my color."


@pytest.mark.parametrize(
    ("mode", "tool"),
    [("legacy", "test_elicitation"), ("auto", "test_input_required_result_elicitation")],
)
async def test_it_asks_no_client_that_did_not_declare_that_it_can_answer(
    mode: Any, tool: str
) -> None:
    with anyio.fail_after(10):
        async with Client(SERVER, mode=mode) as client:
            with pytest.raises(MCPError) as refused:
                await client.call_tool(tool, {"message": "Who are you?"})
    assert refused.value.code == MISSING_REQUIRED_CLIENT_CAPABILITY
    assert refused.value.data == {"requiredCapabilities": {"elicitation": {}}}

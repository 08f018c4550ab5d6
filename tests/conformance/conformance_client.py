"""The official SDK's client, driven through a gateway: what the suite's client scenarios test.

    python conformance_client.py [--direct] URL

The suite starts it, and says in the environment which version to speak and what to call. With
`--direct` there is no gateway in between.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Awaitable
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    ListToolsRequest,
    ListToolsResult,
    Root,
    TextContent,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import FileUrl, ValidationError

PATIENCE_SECONDS = 25.0
"""Less than the suite's own, which would leave the gateway running."""
SAMPLES: dict[str, Any] = {
    "string": "a text", "number": 1.5, "integer": 2, "boolean": True, "null": None,
    "array": [], "object": {},
}  # fmt: skip
"""A value for every type of JSON Schema."""


async def elicited(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Accept, with the defaults that the form has."""
    if not isinstance(params, ElicitRequestFormParams):
        return ElicitResult(action="decline")
    fields: dict[str, dict[str, Any]] = params.requested_schema.get("properties", {})
    content = {
        name: field["default"] if "default" in field else SAMPLES[field.get("type", "string")]
        for name, field in fields.items()
    }
    return ElicitResult(action="accept", content=content)


async def sampled(
    context: ClientRequestContext, params: CreateMessageRequestParams
) -> CreateMessageResult:
    """Answer as a model would."""
    content = TextContent(text="An answer.")
    return CreateMessageResult(role="assistant", content=content, model="none")


async def rooted(context: ClientRequestContext) -> ListRootsResult:
    """Offer one folder."""
    return ListRootsResult(roots=[Root(uri=FileUrl("file:///workspace"), name="workspace")])


class Driver:
    """Uses whatever the server offers, and counts what failed."""

    def __init__(self, client: Client, context: dict[str, Any], *, through: bool) -> None:
        self.client = client
        self.through = through
        self.context = context
        self.failures = 0

    async def everything(self) -> None:
        """List, call, get and read."""
        capabilities = self.client.server_capabilities
        if capabilities.tools is not None:
            await self.tools()
        if capabilities.prompts is not None:
            for prompt in (await self.client.list_prompts()).prompts:
                await self.attempt(prompt.name, self.client.get_prompt(prompt.name))
        if capabilities.resources is not None:
            for resource in (await self.client.list_resources()).resources:
                uri = str(resource.uri)
                await self.attempt(uri, self.client.read_resource(uri))

    async def tools(self) -> None:
        """Call every tool once; those that the suite names, with its arguments."""
        listed = await self.list_tools()
        tools = {tool.name: tool for tool in listed}
        calls: list[tuple[str, dict[str, Any]]] = [
            (name, arguments(tool, tools)) for name, tool in tools.items()
        ]
        if named := self.context.get("toolCalls"):
            calls = [(call["name"], call["arguments"]) for call in named]
        for name, given in calls:
            await self.attempt(name, self.client.call_tool(name, given))

    async def list_tools(self) -> list[Tool]:
        """Return the tools; through a gateway all that it lets through.

        The SDK's client leaves out tools with headers that can't be sent. Here it is not a client
        of HTTP, but the gateway is: it has to leave them out itself.
        """
        if not self.through:
            return (await self.client.list_tools()).tools
        listed = await self.client.session.send_request(ListToolsRequest(), ListToolsResult)
        return listed.tools

    async def attempt(self, what: str, request: Awaitable[Any]) -> None:
        """Await one request; its failure does not keep the others from being made."""
        try:
            await request
        except (MCPError, ValidationError) as error:
            self.failures += 1
            print(f"{what}: {error}", file=sys.stderr)


def arguments(tool: Tool, tools: dict[str, Tool]) -> dict[str, Any]:
    """Return arguments that fit a tool's schema."""
    if tool.name == "json_schema_echo":
        return {"schema": tools["json_schema_2020_12_tool"].input_schema}
    schema = tool.input_schema
    properties: dict[str, dict[str, Any]] = schema.get("properties", {})
    required = schema.get("required", [])
    return {name: SAMPLES[properties[name].get("type", "string")] for name in required}


async def main(url: str, *, through: bool) -> int:
    """Connect in the version that the suite tests, and use everything."""
    spec = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    with (
        anyio.fail_after(PATIENCE_SECONDS),
        tempfile.TemporaryDirectory(prefix="plugway-conformance-") as folder,
    ):
        file = anyio.Path(folder, "plugway.yaml")  # JSON is YAML
        await file.write_text(json.dumps({"mcpServers": {"harness": {"url": url, "prefix": ""}}}))
        gateway = ["-m", "plugway", "-c", str(file), "serve", "--stdio", "--no-reload"]
        async with Client(
            StdioServerParameters(command=sys.executable, args=gateway) if through else url,
            mode="auto" if spec in MODERN_PROTOCOL_VERSIONS else "legacy",
            cache=None,
            elicitation_callback=elicited,
            sampling_callback=sampled,
            list_roots_callback=rooted,
        ) as client:
            driver = Driver(client, context, through=through)
            await driver.everything()
    return 1 if driver.failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--direct", action="store_true", help="without a gateway")
    parser.add_argument("url")
    given = parser.parse_args()
    sys.exit(anyio.run(lambda: main(given.url, through=not given.direct)))

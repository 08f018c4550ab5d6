"""A second MCP server on the official SDK, with some names that `features.py` has too; stdio."""

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp_types import ResourceLink, TextContent
from pydantic import Field

server = MCPServer("apps", instructions="Tools with pages.")


@server.tool(meta={"ui": {"resourceUri": "ui://clock/page"}}, structured_output=False)
def clock() -> str:
    """Tell the time, on a page of its own."""
    return "noon"


@server.tool(structured_output=False)
def echo(text: str) -> str:
    """Return the text, twice."""
    return text * 2


@server.tool(structured_output=False)
def sign(by: Annotated[str, Field(json_schema_extra={"x-mcp-header": "by"})]) -> str:
    """Sign; clients say in a header, too, by whom."""
    return by


@server.tool(structured_output=False)
def links() -> list[TextContent | ResourceLink]:
    """Refer to resources: one of its own only, and one whose URI another server has too."""
    return [
        ResourceLink(type="resource_link", name="note", uri="note://one"),
        ResourceLink(type="resource_link", name="today", uri="memo://today"),
    ]


@server.prompt()
def part(name: str) -> str:
    """Part from somebody."""
    return f"Say goodbye to {name}."


@server.resource("ui://clock/page", mime_type="text/html;profile=mcp-app")
def page() -> str:
    """Return the page of the clock."""
    return "<p>noon</p>"


@server.resource("note://one")
def note() -> str:
    """Return the note."""
    return "the note"


@server.resource("memo://today")
def today() -> str:
    """Return another memo than the features server."""
    return "plenty to do"


@server.resource("note://by-name/{name}")
def by_name(name: str) -> str:
    """Return a note by name."""
    return f"note of {name}"


if __name__ == "__main__":
    server.run("stdio")

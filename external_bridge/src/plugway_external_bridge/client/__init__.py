"""The client's side: calling plugins that live on another MCP server."""

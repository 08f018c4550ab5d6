"""The host's side: serving configured plugins as an MCP server."""

"""Make a first configuration from what MCP clients on this machine already use."""

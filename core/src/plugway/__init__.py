"""An MCP gateway whose every decision is a plugin."""

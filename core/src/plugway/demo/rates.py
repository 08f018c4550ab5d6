"""A small MCP server on the official SDK, for the demo: exchange rates, over HTTP.

Run it with `python -m plugway.demo.rates PORT`.
"""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("rates", instructions="Exchange rates, fixed ones.")

RATES = {"EUR": 1.0, "USD": 1.09, "GBP": 0.86, "CHF": 0.95}


@server.tool()
def convert(amount: float, currency: str) -> str:
    """Convert an amount from euros."""
    return f"{amount:.2f} EUR = {amount * RATES[currency]:.2f} {currency}"


@server.tool()
def send_report(text: str) -> str:
    """Send a report to the whole company."""
    return f"sent to everybody: {text}"


@server.prompt()
def compare(currency: str) -> str:
    """Compare a currency with the euro."""
    return f"Compare the {currency} with the euro over the last year."


@server.resource("rates://table")
def table() -> str:
    """Return all rates."""
    return "\n".join(f"{currency} {rate}" for currency, rate in RATES.items())


if __name__ == "__main__":
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))

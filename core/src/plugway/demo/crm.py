"""A small MCP server on the official SDK, for the demo: customers, over stdio.

Run it with `python -m plugway.demo.crm`; it speaks both protocol eras.
"""

import logging

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

log = logging.getLogger("crm")
server = MCPServer("crm", instructions="Customers of a small shop.")


class Customer(BaseModel):
    """One customer, as the CRM keeps them."""

    id: int
    name: str
    email: str
    city: str


CUSTOMERS = {
    1: Customer(id=1, name="Ada Lovelace", email="ada.lovelace@example.com", city="London"),
    2: Customer(id=2, name="Grace Hopper", email="grace.hopper@example.com", city="Arlington"),
}


@server.tool()
def list_cities() -> list[str]:
    """List the cities that customers live in."""
    return sorted({customer.city for customer in CUSTOMERS.values()})


@server.tool()
def find_customer(note: str, name: str) -> Customer:
    """Find a customer by name; the note says why, for the CRM's own log."""
    for customer in CUSTOMERS.values():
        if name.lower() in customer.name.lower():
            log.info("%s looked up: %s", customer.name, note)
            return customer
    raise ValueError(f"no customer is called {name!r}")


@server.tool()
def delete_customer(customer_id: int) -> str:
    """Delete a customer for good."""
    del CUSTOMERS[customer_id]
    return f"customer {customer_id} is gone"


@server.tool()
async def import_customers(count: int, context: Context) -> str:
    """Pretend to import customers, and tell how far it is."""
    for done in range(1, count + 1):
        await context.report_progress(done, count, f"{done} of {count}")
    return f"{count} customers imported"


@server.prompt()
def follow_up(customer: str) -> str:
    """Write a friendly follow-up mail."""
    return f"Write a short, friendly follow-up mail to {customer}."


@server.resource("crm://customers/{customer_id}")
def customer_card(customer_id: int) -> str:
    """Return one customer's card."""
    customer = CUSTOMERS[customer_id]
    return f"{customer.name} <{customer.email}>, {customer.city}"


@server.resource("crm://about")
def about() -> str:
    """Say what this server is."""
    return "The demo's CRM: two customers and no secrets."


if __name__ == "__main__":
    server.run("stdio")

"""The client-facing side: stdio and streamable HTTP, in both protocol eras."""

"""One way in for every request, whatever the client and the transport."""

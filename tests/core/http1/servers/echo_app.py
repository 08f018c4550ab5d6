"""An ASGI application that echoes bodies and one header."""

from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    echoed = [header for header in scope["headers"] if header[0] == b"x-number"]
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, *echoed]})
    await send({"type": "http.response.body", "body": body})

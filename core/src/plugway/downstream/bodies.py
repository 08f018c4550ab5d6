"""Have the bodies of requests arrive in one piece, or not at all where they are too large."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugway.downstream.fields import fields_of
from plugway.downstream.refusals import refusal
from plugway.jsonrpc import INVALID_REQUEST, TOO_LARGE

BODY_SECONDS = 30.0
"""How long a client may take for a body of which the beginning has come."""


class WholeBodies:
    """An ASGI application in front of one that reads a body as its first message.

    Where the client goes before that, the first message says so.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        """Read at most `limit` bytes."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when it is there, or answer that it is too large, or too slow."""
        declared = fields_of(scope).get("content-length", "")
        if declared.isdecimal() and len(declared) < 20 and int(declared) > self._limit:
            await self._too_large(scope, receive, send)
            return
        message = await receive()
        if message.get("more_body"):
            with anyio.move_on_after(BODY_SECONDS) as scope_of_body:
                message = await self._rest(message, receive)
            if scope_of_body.cancelled_caught:
                text = f"The body of the request did not come within {BODY_SECONDS:g} s"
                refused = refusal(408, INVALID_REQUEST, text, {"Connection": "close"})
                await refused(scope, receive, send)
                return
        if len(message.get("body", b"")) > self._limit:
            await self._too_large(scope, receive, send)
            return
        first: Message | None = message

        async def replay() -> Message:
            nonlocal first
            if first is not None:
                unread, first = first, None
                return unread
            return await receive()

        await self._app(scope, replay, send)

    async def _rest(self, first: Message, receive: Receive) -> Message:
        """Return the whole body as one message, or what ended it; no more than tells its size."""
        chunks = [first.get("body", b"")]
        size = len(chunks[0])
        while size <= self._limit:
            message = await receive()
            if message["type"] != "http.request":
                return message
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if not message.get("more_body"):
                break
        return {"type": "http.request", "body": b"".join(chunks), "more_body": False}

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"The request is too large: at most {self._limit} bytes are allowed"
        await refusal(413, TOO_LARGE, text)(scope, receive, send)

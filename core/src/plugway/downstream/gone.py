"""Clients that are gone before they are answered: no news, and nothing to answer."""

import logging
from typing import cast

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GONE = (ClientDisconnect, anyio.ClosedResourceError, anyio.BrokenResourceError)
"""What the SDK raises where a client has gone, or its session has ended."""


class Gone:
    """An ASGI application in front of the MCP endpoint; bodies arrive in one piece.

    The SDK takes it for an error of its own, and logs a stack, where a client goes before its body
    is complete, or ends its session right after a notification. The latter it answers twice.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Spare `app` what nobody waits for."""
        self._app = app
        logging.getLogger("mcp.server.streamable_http").addFilter(is_news)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if its client is still there."""
        unread = [await receive()]
        if unread[0]["type"] != "http.request" or unread[0].get("more_body"):
            return
        answered = False

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        async def once(message: Message) -> None:
            nonlocal answered
            if not answered:
                answered = message["type"] == "http.response.body" and not message.get("more_body")
                await send(message)

        try:
            await self._app(scope, again, once)
        except _GONE:
            if not answered:
                raise


def is_news(record: logging.LogRecord) -> bool:
    """Whether a log record tells of more than that a client has gone."""
    return record.exc_info is None or not _is_gone(record.exc_info[1])


def _is_gone(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(_is_gone(each) for each in group.exceptions)
    return isinstance(error, _GONE)

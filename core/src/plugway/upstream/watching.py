"""Follow resources of one server, in the manner of its era, until nobody wants to know any more."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio

from plugway.upstream.calls import Call
from plugway.upstream.errors import ServerTimeoutError
from plugway.upstream.link import Link
from plugway.upstream.values import as_object, as_strings
from plugway_hookspecs import PlugwayError, ServerError, ServerUnavailableError

FAREWELL_SECONDS = 5.0
"""How long a server may take to hear that a subscription is over."""

Updated = Callable[[str], None]
"""Takes the URI of a resource that has changed; may not raise, nor block."""


async def follow(
    link: Link,
    uris: Sequence[str],
    updated: Updated,
    started: Callable[[], None],
    *,
    timeout: float = inf,
) -> None:
    """Follow resources on one connection until that is over; `started` is called once it stands.

    Raises `ServerError` where the server refuses, `ServerTimeoutError` where it has not agreed
    within `timeout` seconds, and `ServerUnavailableError`.
    """
    connection = await link.connect()
    async with _registered(link, uris, updated):
        if connection.peer.era == "modern":
            await _listen(link, uris, started, timeout)
            return
        await connection.hears()  # a change right after the answer counts
        with anyio.move_on_after(timeout) as patience:
            for uri in uris:
                await _subscribe(link, uri)
        if patience.cancelled_caught:
            raise link.timed_out("answer resources/subscribe", timeout)
        started()
        await connection.over.wait()


@asynccontextmanager
async def _registered(link: Link, uris: Sequence[str], updated: Updated) -> AsyncGenerator[None]:
    for uri in uris:
        link.watched.setdefault(uri, []).append(updated)
    answers = True
    try:
        yield
    except ServerTimeoutError:
        answers = False
        raise
    finally:
        over = [uri for uri in uris if _unregister(link, uri, updated)]
        peer = link.peer
        legacy = peer is not None and peer.era == "legacy"
        if over and answers and legacy and link.state == "up":
            await _unsubscribe(link, over)


def _unregister(link: Link, uri: str, updated: Updated) -> bool:
    """Forget one who wanted to know of a resource; True if it was the last."""
    link.watched[uri].remove(updated)
    if link.watched[uri]:
        return False
    del link.watched[uri]
    return True


async def _subscribe(link: Link, uri: str) -> None:
    """Subscribe unless somebody has; who comes meanwhile waits for what becomes of it."""
    async with link.turn(uri):
        if uri not in link.followed:
            await link.request(Call("resources/subscribe", {"uri": uri}))
            link.followed.add(uri)


async def _unsubscribe(link: Link, uris: Sequence[str]) -> None:
    with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
        for uri in uris:
            async with link.turn(uri):
                if uri in link.watched:  # somebody has come
                    continue
                link.followed.discard(uri)
                try:
                    await link.request(Call("resources/unsubscribe", {"uri": uri}))
                except PlugwayError:
                    return


async def _listen(
    link: Link, uris: Sequence[str], started: Callable[[], None], timeout: float
) -> None:
    refused: list[str] = []
    agreed = False

    def acknowledged(params: Mapping[str, Any]) -> None:
        nonlocal agreed
        honored = as_strings(as_object(params.get("notifications")).get("resourceSubscriptions"))
        refused.extend(set(uris) - set(honored))
        if refused:
            scope.cancel()
        else:
            agreed, scope.deadline = True, inf
            started()

    call = Call(
        "subscriptions/listen",
        {"notifications": {"resourceSubscriptions": list(uris)}},
        on_acknowledged=acknowledged,
        background=True,
    )
    with anyio.move_on_after(timeout) as scope:
        await link.request(call)
    if refused:
        message = f"the server does not tell of changes of {refused[0]}"
        raise ServerError(message, server=link.server, code=-32602)
    if scope.cancelled_caught:
        raise link.timed_out("acknowledge subscriptions/listen", timeout)
    if not agreed:
        message = f"server {link.server!r} has ended a stream before it acknowledged it"
        raise ServerUnavailableError(message, server=link.server)

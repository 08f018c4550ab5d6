"""One `subscriptions/listen` stream of a client of the stateless era (2026-07-28)."""

from collections.abc import Callable
from typing import Any, NoReturn

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    ResourceUpdated,
    ServerEvent,
    event_matches,
    event_to_notification,
)
from mcp_types import (
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
)

from plugway.dispatch.exchange import Caller
from plugway.downstream.subscriptions import Subscriptions
from plugway_hookspecs import Principal


class Stream:
    """What one stream hears: list changes, as all do, and the resources that it follows.

    The SDK's `ListenHandler` buffers every event, and ends the stream of a client that reads slowly
    when there are too many. Here one waits of each kind, or URI, until the client has taken it.

    Implements `plugway.dispatch.exchange.Watches`.
    """

    def __init__(self, subscriptions: Subscriptions, caller: Caller | None) -> None:
        """Hear of resources on behalf of `caller`, and of what `hear` is called with."""
        self._caller = caller
        self._subscriptions = subscriptions
        self._watched: dict[str, Callable[[], None]] = {}
        self._untold: dict[ServerEvent, None] = {}
        self._heard = anyio.Event()

    async def add(self, uri: str, server: str, inward: str, principal: Principal) -> None:
        """Follow a resource."""
        self.remove(uri)
        self._watched[uri] = await self._subscriptions.follow(
            *(uri, server, inward, self._caller),
            principal=principal,
            updated=self._updated,
            over=self.remove,
        )

    def remove(self, uri: str) -> None:
        """Follow it no longer."""
        if (stop := self._watched.pop(uri, None)) is not None:
            stop()

    def close(self) -> None:
        """Follow nothing any more."""
        for uri in list(self._watched):
            self.remove(uri)

    def hear(self, event: ServerEvent) -> None:
        """Tell the client soon, once however often it is heard meanwhile."""
        self._untold[event] = None
        self._heard.set()

    async def run(
        self, context: ServerRequestContext[Any, Any], honored: SubscriptionFilter
    ) -> NoReturn:
        """Tell the client what it may hear of, and then all of that; until cancelled."""
        session, stream = context.session, context.request_id
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: stream}
        params = SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=meta)
        acknowledged = SubscriptionsAcknowledgedNotification(params=params)
        await session.send_notification(acknowledged, related_request_id=stream)
        uris = frozenset(honored.resource_subscriptions or ())
        while True:
            await self._heard.wait()
            self._heard = anyio.Event()
            while self._untold:
                event = next(iter(self._untold))
                del self._untold[event]
                if event_matches(honored, uris, event):
                    notification = event_to_notification(event, meta)
                    await session.send_notification(notification, related_request_id=stream)

    def _updated(self, uri: str) -> None:
        self.hear(ResourceUpdated(uri=uri))

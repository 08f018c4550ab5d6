"""A response stream that can be let go of from outside."""

from collections.abc import AsyncIterator

import anyio
import httpx2


class AbortableStream(httpx2.AsyncByteStream):
    """Passes a response's bytes on until `abort` is called."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner
        self._aborted = False
        self._scope = anyio.CancelScope()

    def abort(self) -> None:
        """End the stream, also while somebody waits for its next bytes."""
        self._aborted = True
        self._scope.cancel()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        while not self._aborted:
            chunk = b""
            with anyio.CancelScope() as self._scope:  # one per step: none is held across a yield
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
            yield chunk
        # the one error after which the SDK does not try to resume the stream
        raise httpx2.SSEError("the caller has given up")

    async def aclose(self) -> None:
        """Close the response."""
        await self._inner.aclose()

"""Undo the compression of a body, never further than is asked for."""

import zlib
from collections.abc import Iterator

from plugway.http1.errors import DecodingError

_GZIP = 16 + zlib.MAX_WBITS
_STEP = 65536


class Decoder:
    """Inflates one body, in pieces of at most 64 KiB: who stops taking them stops the work."""

    def __init__(self, coding: bytes) -> None:
        """Take the value of `content-encoding`; raises `DecodingError` for what we can't undo."""
        name = coding.lower()
        if name not in {b"gzip", b"x-gzip", b"deflate"}:
            raise DecodingError(
                f"the body is in {name.decode('latin-1')!r}, which nobody asked for"
            )
        self._gzip = name != b"deflate"
        self._start = b""
        self._fed = False
        self._inflater = zlib.decompressobj(_GZIP) if self._gzip else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what can be inflated with one piece more; raises `DecodingError`."""
        self._fed = True
        if self._inflater is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            self._inflater = zlib.decompressobj(_bits(data))
        while data or not self._inflater.eof:
            if self._inflater.eof:  # gzip may have several members in a row
                if not self._gzip:
                    raise DecodingError("there is more after the end of the compressed body")
                self._inflater = zlib.decompressobj(_GZIP)
            try:
                piece = self._inflater.decompress(data, _STEP)
            except zlib.error as error:
                raise DecodingError(f"the body can't be decompressed: {error}") from None
            data = self._inflater.unused_data or self._inflater.unconsumed_tail
            if piece:
                yield piece
            elif not data:
                return

    def finish(self) -> None:
        """Raise `DecodingError` where the end is missing; a body of no bytes has none."""
        if self._fed and (self._inflater is None or not self._inflater.eof):
            raise DecodingError("the compressed body ends too early")


def _bits(start: bytes) -> int:
    """Tell `deflate` in zlib's format from the bare one that some servers send."""
    bare = start[0] & 15 != 8 or (start[0] * 256 + start[1]) % 31 != 0
    return -zlib.MAX_WBITS if bare else zlib.MAX_WBITS

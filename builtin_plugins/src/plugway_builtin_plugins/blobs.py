"""Read and write the base64 text of resources, without losing a byte of what is no text."""

import base64

_TEXT_TYPES = frozenset(
    {
        "application/csv",
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/ndjson",
        "application/rtf",
        "application/sql",
        "application/toml",
        "application/x-ndjson",
        "application/x-sh",
        "application/x-www-form-urlencoded",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
        "message/rfc822",
    }
)
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml", "json-seq")


def decode_blob(blob: str, media_type: object) -> tuple[str | None, bool]:
    """Return the text in a resource's `blob`, None where it holds none, and if it was encoded.

    It is text if its media type says so; without a media type, if it is valid UTF-8. Bytes that are
    no UTF-8 survive as lone surrogates, and come back from `encode_blob` as they were. What claims
    to be text and is no base64 is the text itself.
    """
    known = isinstance(media_type, str) and bool(media_type)
    if known and not is_text_type(str(media_type)):
        return None, True
    try:
        packed = "".join(blob.split())
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except ValueError:
        return blob, False
    try:
        return raw.decode(errors="surrogateescape" if known else "strict"), True
    except UnicodeDecodeError:
        return None, True


def encode_blob(text: str) -> str:
    """Return `text`, as `decode_blob` gave it, in base64."""
    return base64.b64encode(text.encode(errors="surrogateescape")).decode("ascii")


def is_text_type(media_type: str) -> bool:
    """Tell whether a media type, with or without parameters, stands for text."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence.startswith("text/") or essence in _TEXT_TYPES or essence.endswith(_TEXT_SUFFIXES)

"""Names that stay unique across servers: `server__tool`, and `server+scheme://…` for URIs."""

from typing import Any

from plugway.jsonvalues import is_array, is_object

SEPARATOR = "__"
URI_SEPARATOR = "+"


def outward_name(prefix: str, name: str) -> str:
    """Return the name that clients use."""
    return f"{prefix}{SEPARATOR}{name}" if prefix else name


def inward_name(prefix: str, name: str) -> str | None:
    """Return the server's own name, or None if the name has another prefix."""
    if not prefix:
        return name
    start = prefix + SEPARATOR
    return name.removeprefix(start) if name.startswith(start) else None


def outward_uri(prefix: str, uri: str) -> str:
    """Return the URI (or template) that clients use; it stays a URI by RFC 3986."""
    return f"{prefix}{URI_SEPARATOR}{uri}" if prefix else uri


def inward_uri(prefix: str, uri: str) -> str | None:
    """Return the server's own URI, or None if it has another prefix."""
    if not prefix:
        return uri
    start = prefix + URI_SEPARATOR
    return uri.removeprefix(start) if uri.startswith(start) else None


def outward_result(prefix: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the URIs in it as clients use them; the original is left alone."""
    if not prefix:
        return result
    changed = dict(result)
    if is_array(blocks := result.get("content")):
        changed["content"] = [_outward_block(prefix, block) for block in blocks]
    if is_array(messages := result.get("messages")):
        changed["messages"] = [_outward_message(prefix, message) for message in messages]
    if is_array(contents := result.get("contents")):
        changed["contents"] = [_with_uri(prefix, item) for item in contents]
    return changed


def _outward_message(prefix: str, message: Any) -> Any:
    if not is_object(message) or "content" not in message:
        return message
    content = message["content"]
    if is_array(content):
        return {**message, "content": [_outward_block(prefix, block) for block in content]}
    return {**message, "content": _outward_block(prefix, content)}


def _outward_block(prefix: str, block: Any) -> Any:
    if not is_object(block):
        return block
    if block.get("type") == "resource_link":
        return _with_uri(prefix, block)
    if block.get("type") == "resource" and "resource" in block:
        return {**block, "resource": _with_uri(prefix, block["resource"])}
    return block


def _with_uri(prefix: str, item: Any) -> Any:
    if is_object(item) and isinstance(uri := item.get("uri"), str):
        return {**item, "uri": outward_uri(prefix, uri)}
    return item

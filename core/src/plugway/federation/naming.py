"""Names that stay unique across servers: `server__tool`, and `server+scheme://…` for URIs."""

from collections.abc import Callable, Mapping
from typing import Any

from plugway.jsonvalues import is_array, is_object

SEPARATOR = "__"
URI_SEPARATOR = "+"

Rename = Callable[[str], str]
"""Takes a URI and returns the one to put in its place."""

_APP_SCHEME = "ui://"
_FLAT_APP_KEY = "ui/resourceUri"
"""Where tools had the URI of their app before it moved into `_meta.ui`."""


def is_app(uri: str) -> bool:
    """Whether it is the URI of an app's page (SEP-1865): clients know those by their scheme."""
    return uri[: len(_APP_SCHEME)].lower() == _APP_SCHEME


def outward_name(prefix: str, name: str) -> str:
    """Return the name that clients use."""
    return f"{prefix}{SEPARATOR}{name}" if prefix else name


def inward_name(prefix: str, name: str) -> str | None:
    """Return the server's own name, or None if the name has another prefix."""
    if not prefix:
        return name
    start = prefix + SEPARATOR
    return name.removeprefix(start) if name.startswith(start) else None


def uri_prefix(prefix: str) -> str:
    """Return what stands before `+` in URIs: a scheme by RFC 3986 §3.1 begins so.

    It is in lower case, as clients that parse URIs write schemes, and `-` stands for `_`, which
    they refuse. Different prefixes may give the same; a configuration is checked for that.
    """
    scheme = prefix.lower().replace("_", "-")
    return scheme if scheme[:1].isalpha() else f"x-{scheme}"


def outward_uri(prefix: str, uri: str) -> str:
    """Return the URI (or template) that clients use; it stays a URI by RFC 3986.

    Apps keep their URI: clients go by its scheme, `ui`.
    """
    return f"{uri_prefix(prefix)}{URI_SEPARATOR}{uri}" if prefix and not is_app(uri) else uri


def inward_uri(prefix: str, uri: str) -> str | None:
    """Return the server's own URI, or None if it has another prefix."""
    if not prefix or is_app(uri):
        return uri
    start = uri_prefix(prefix) + URI_SEPARATOR
    inward = uri.removeprefix(start) if uri.startswith(start) else None
    return None if inward is None or is_app(inward) else inward  # an app has no second name


def outward_result(prefix: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the URIs in it as clients use them; the original is left alone."""
    return rename_uris(result, lambda uri: outward_uri(prefix, uri)) if prefix else result


def outward_item(prefix: str, key: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a server lists, with its name under `key`, as clients use it."""
    outward = outward_name if key == "name" else outward_uri
    renamed = {**item, key: outward(prefix, item[key])}
    return rename_app(renamed, lambda uri: outward_uri(prefix, uri)) if prefix else renamed


def app_of(tool: Mapping[str, Any]) -> str | None:
    """Return the URI of a tool's app, if it has one."""
    meta = tool.get("_meta")
    ui = meta.get("ui") if is_object(meta) else None
    uri = ui.get("resourceUri") if is_object(ui) else None
    if uri is None and is_object(meta):
        uri = meta.get(_FLAT_APP_KEY)
    return uri if isinstance(uri, str) else None


def rename_app(tool: Mapping[str, Any], rename: Rename) -> Mapping[str, Any]:
    """Return a tool's definition with another URI for its app; the original is left alone."""
    meta = tool.get("_meta")
    if not is_object(meta):
        return tool
    changed = dict(meta)
    if is_object(ui := meta.get("ui")) and isinstance(uri := ui.get("resourceUri"), str):
        changed["ui"] = {**ui, "resourceUri": rename(uri)}
    if isinstance(uri := meta.get(_FLAT_APP_KEY), str):
        changed[_FLAT_APP_KEY] = rename(uri)
    return {**tool, "_meta": changed}


def rename_uris(result: dict[str, Any], rename: Rename) -> dict[str, Any]:
    """Return a result with other URIs in its content, messages and contents."""
    changed = dict(result)
    if is_array(blocks := result.get("content")):
        changed["content"] = [_rename_block(rename, block) for block in blocks]
    if is_array(messages := result.get("messages")):
        changed["messages"] = [_rename_message(rename, message) for message in messages]
    if is_array(contents := result.get("contents")):
        changed["contents"] = [_with_uri(rename, item) for item in contents]
    return changed


def _rename_message(rename: Rename, message: Any) -> Any:
    if not is_object(message) or "content" not in message:
        return message
    content = message["content"]
    if is_array(content):
        return {**message, "content": [_rename_block(rename, block) for block in content]}
    return {**message, "content": _rename_block(rename, content)}


def _rename_block(rename: Rename, block: Any) -> Any:
    if not is_object(block):
        return block
    if block.get("type") == "resource_link":
        return _with_uri(rename, block)
    if block.get("type") == "resource" and "resource" in block:
        return {**block, "resource": _with_uri(rename, block["resource"])}
    return block


def _with_uri(rename: Rename, item: Any) -> Any:
    if is_object(item) and isinstance(uri := item.get("uri"), str):
        return {**item, "uri": rename(uri)}
    return item


def outward_task(prefix: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the id of a task in it as clients use it."""
    task = result.get("taskId")
    return {**result, "taskId": outward_name(prefix, task)} if isinstance(task, str) else result

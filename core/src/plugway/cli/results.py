"""Show the result of a request as people read it."""

import json
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from plugway.cli.app import App
from plugway.cli.output import printable
from plugway.jsonvalues import is_array


def show_result(app: App, result: Mapping[str, Any]) -> None:
    """Print the content of a tool's, prompt's or resource's result.

    Structured content is printed where there is nothing else: servers repeat it in the content.
    """
    style = "red" if result.get("isError") else ""
    blocks = [
        *_list(result.get("content")),
        *_list(result.get("messages")),
        *_list(result.get("contents")),
    ]
    for block in blocks:
        app.out.print(Text(printable(_block(block)), style), soft_wrap=True)
    if not blocks and (structured := result.get("structuredContent")) is not None:
        app.out.print(Text(printable(_json(structured))), soft_wrap=True)
    if result.get("resultType", "complete") != "complete":
        app.out.print(Text("The server wants an answer before it goes on:", "yellow"))
        app.out.print(Text(printable(_json(result.get("inputRequests")))), soft_wrap=True)


def _list(value: Any) -> list[Any]:
    return value if is_array(value) else []


def _block(block: Any) -> str:
    """Return a content block, a message or a resource as text."""
    match block:
        case {"role": str(role), "content": content}:
            parts = content if is_array(content) else [content]
            text = "\n".join(f"{role}: {_block(part)}" for part in parts)
        case {"text": str(text)}:
            pass
        case {"type": "resource", "resource": resource}:
            text = _block(resource)
        case {"type": "resource_link", "uri": uri}:
            text = f"[link to {uri}]"
        case {"data": str(data), **rest} | {"blob": str(data), **rest}:
            kind = rest.get("mimeType") or rest.get("type") or "data"
            text = f"[{kind}, {len(data) * 3 // 4} bytes]"
        case _:
            text = _json(block)
    return text


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)

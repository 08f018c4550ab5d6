"""A handshake-era server that asks for the client's roots once and remembers them, as many do."""

import json
import sys
from typing import Any

roots: list[str] | None = None
waiting: list[Any] = []


def send(message: dict[str, Any]) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer_calls() -> None:
    """Answer the calls that wait, once the roots are known."""
    while waiting and roots is not None:
        content = [{"type": "text", "text": " ".join(roots)}]
        send({"id": waiting.pop(0), "result": {"content": content}})


for line in sys.stdin:
    message = json.loads(line)
    match message:
        case {"method": "initialize", "id": ident, "params": params}:
            if "roots" not in params["capabilities"]:
                roots = []
            said: dict[str, Any] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            send({"id": ident, "result": {**said, "serverInfo": {"name": "x", "version": "0"}}})
        case {"method": "tools/list", "id": ident}:
            tools = [{"name": "roots", "inputSchema": {"type": "object"}}]
            send({"id": ident, "result": {"tools": tools}})
        case {"method": "tools/call", "id": ident}:
            waiting.append(ident)
            if roots is None:
                send({"id": "roots", "method": "roots/list"})
            answer_calls()
        case {"id": "roots", "result": result}:
            roots = [root["uri"] for root in result["roots"]]
            answer_calls()
        case {"id": "roots", "error": _}:
            roots = []
            answer_calls()
        case {"method": str(), "id": ident}:
            send({"id": ident, "error": {"code": -32601, "message": "Method not found"}})
        case _:
            pass

"""An MCP server without the SDK that says what its caller wants: `raw_server.py ERA [SOCKET]`.

Params have `x-give`, JSON text: the `result` to answer with, the params of messages to send before
it (`progress`, `logs`), of a question to ask (`ask`), and what to list from now on (`offer`). The
result says what the server has seen (`x-seen`) and been answered (`x-answers`).
"""

import json
import queue
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], None]

ERA = sys.argv[1]
NAME = f"{ERA}-{'http' if len(sys.argv) > 2 else 'stdio'}"
INFO = {"name": NAME, "version": "0"}
CAPABILITIES: Message = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
LISTS: dict[str, list[Message]] = {
    "tools": [{"name": NAME, "inputSchema": {"type": "object"}}],
    "prompts": [{"name": NAME}],
    "resources": [{"name": NAME, "uri": f"{NAME}://r"}],
    "resourceTemplates": [{"name": NAME, "uriTemplate": f"{NAME}://t/{{x}}"}],
}
LISTED = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}

offered: dict[str, list[Message]] = {}
asked: dict[str, queue.Queue[Message]] = {}
ids = count(1)


def handle(message: Message, send: Send) -> None:
    """Answer one message; answers of clients go to who asked."""
    method = message.get("method")
    if method is None:
        asked[message["id"]].put(message)
    elif "id" in message:
        send(
            {
                "jsonrpc": "2.0",
                "id": message["id"],
                **answer(method, message.get("params", {}), send),
            }
        )


def answer(method: str, params: Message, send: Send) -> Message:
    """Return the result or the error of a request."""
    if method == ("server/discover" if ERA == "modern" else "initialize"):
        version = {"supportedVersions": ["2026-07-28"], "resultType": "complete"}
        if ERA == "legacy":
            version = {"protocolVersion": params["protocolVersion"]}
        result = {"capabilities": CAPABILITIES, "serverInfo": INFO, "ttlMs": 0}
        return {"result": {**result, "cacheScope": "private", **version}}
    if (key := LISTED.get(method)) is not None:
        items = [*LISTS[key], *offered.get(key, ())]
        return {"result": {key: items, "resultType": "complete"}}
    if "x-give" not in params:
        return {"error": {"code": -32601, "message": f"no {method} here"}}
    return given(json.loads(params["x-give"]), params, send)


def given(give: Message, params: Message, send: Send) -> Message:
    """Do what the caller wants."""
    offered.update(give.get("offer", {}))
    if "ask" in give and ERA == "modern" and "inputResponses" not in params:
        return {
            "result": {
                "resultType": "input_required",
                "inputRequests": {"q": give["ask"]},
                "requestState": "s",
            }
        }
    token = params.get("_meta", {}).get("progressToken")
    for each in give.get("progress", ()):
        notify(send, "notifications/progress", {**each, "progressToken": token})
    for each in give.get("logs", ()):
        notify(send, "notifications/message", each)
    seen: Message = {"x-seen": params}
    if "ask" in give:
        seen["x-answer"] = (
            params["inputResponses"]["q"] if ERA == "modern" else push(give["ask"], send)
        )
    if "error" in give:
        return {"error": give["error"]}
    return {"result": {**give["result"], **seen}}


def notify(send: Send, method: str, params: Message) -> None:
    """Send a notification."""
    send({"jsonrpc": "2.0", "method": method, "params": params})


def push(question: Message, send: Send) -> Message:
    """Ask in the middle of a request, and wait for the answer."""
    ident = f"q{next(ids)}"
    answers: queue.Queue[Message] = queue.Queue()
    asked[ident] = answers
    send({"jsonrpc": "2.0", "id": ident, **question})
    result: Message = answers.get(timeout=20)
    answer: Message = result["result"]
    return answer


class Endpoint(BaseHTTPRequestHandler):
    """MCP over HTTP: every request is answered by a stream."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Handle one message."""
        body = self.rfile.read(int(self.headers["content-length"]))
        message = json.loads(body)
        streamed = "method" in message and "id" in message
        self.send_response(200 if streamed else 202)
        if message.get("method") == "initialize":
            self.send_header("mcp-session-id", f"s{next(ids)}")
        if not streamed:
            self.send_header("content-length", "0")
            self.end_headers()
            handle(message, self._send)
            return
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        handle(message, self._send)

    def do_GET(self) -> None:
        """Offer no stream besides."""
        self.send_error(405)

    do_DELETE = do_GET  # noqa: N815 - the base class looks for this name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Be quiet."""

    def _send(self, message: Message) -> None:
        text = json.dumps(message, ensure_ascii=False)
        self.wfile.write(f"data: {text}\n\n".encode())


def over_http(listener: socket.socket) -> None:
    """Serve on a socket that listens."""
    server = ThreadingHTTPServer(listener.getsockname(), Endpoint, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


def over_stdio() -> None:
    """Serve one client on standard input and output."""
    lock = threading.Lock()

    def send(message: Message) -> None:
        data = json.dumps(message, ensure_ascii=False).encode() + b"\n"
        with lock:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    for line in sys.stdin.buffer:
        threading.Thread(target=handle, args=(json.loads(line), send), daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        over_http(socket.socket(fileno=int(sys.argv[2])))
    else:
        over_stdio()

"""A legacy server that speaks JSON lines by hand, and does what it is told to.

`line_server.py TREATMENT`: what it does with a method that it does not know: `refuse`, `ignore`,
`die` or `hang`. The tool `say` writes the lines in its arguments, with ID for the request's id
and BYTE for one that no UTF-8 has.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

answers: list[Any] = []


def write(line: str) -> None:
    sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def say(request_id: Any, arguments: dict[str, Any]) -> None:
    for line in arguments["lines"]:
        write(line.replace("ID", str(request_id)).replace("BYTE", "\udcff"))
    if "long" in arguments:
        result = (
            f'{{"jsonrpc":"2.0","id":{request_id},"result":{{"x":"{"x" * arguments["long"]}"}}}}'
        )
        write(result)
    sys.stderr.write(arguments.get("stderr", ""))
    sys.stderr.flush()
    if "exit" in arguments:
        os._exit(arguments["exit"])


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}, "x-unknown": None},
            "serverInfo": {"name": "lines", "version": "1", "x-unknown": [None]},
        }
    if method != "tools/call":
        return None
    if params["name"] == "environment":
        return {"content": [], "environment": dict(os.environ), "cwd": str(Path.cwd())}
    if params["name"] == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        return {"content": [], "pids": [os.getpid(), child.pid]}
    if params["name"] == "heard":
        return {"content": [], "answers": answers}
    return {"content": [], "arguments": params.get("arguments")}


def treat(request_id: Any, method: str, treatment: str) -> None:
    if treatment == "die":
        sys.exit(f"what is {method}?")
    if treatment == "hang":
        time.sleep(60)
    if treatment == "refuse":
        error = {"code": -32601, "message": f"no {method}"}
        write(json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}))


def main(treatment: str) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            answers.append(message)
            continue
        request_id, method, params = message.get("id"), message["method"], message.get("params", {})
        if request_id is None:
            continue
        if method == "tools/call" and params["name"] == "say":
            say(request_id, params["arguments"])
        elif (result := answer(method, params)) is not None:
            deafened = params.get("name") == "deafen"
            if deafened:
                os.close(0)
            write(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}))
            time.sleep(60 if deafened else 0)
        else:
            treat(request_id, method, treatment)


main(sys.argv[1])

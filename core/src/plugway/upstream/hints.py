"""Known causes of failures, and what probably helps."""

import re

WRITES_TO_STDOUT = (
    "the program writes something else to its standard output, which is for JSON-RPC only: "
    "let it log to its standard error"
)

_STDERR = [
    (
        r"(ModuleNotFoundError|ImportError).*['\"]mcp(\.|['\"])|cannot import name .* from 'mcp",
        'the program is probably made for version 1 of the MCP SDK: pin it with `--with "mcp<2"`',
    ),
    (
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        "the Python package with the module {0!r} is missing in the program's environment",
    ),
    (r"Cannot find module '([^']+)'", "the Node module {0!r} is missing: install it"),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "the address that the program listens on is taken: free it, or change the port",
    ),
    (r"npm (ERR!|error).*\bE404\b", "there is no npm package of that name: check `args`"),
    (
        r"npm (ERR!|error).*\b(ENOENT|enoent)\b",
        "npm found no package there: check `args` and `cwd`",
    ),
    (r"npm (ERR!|error).*\b(ENOTFOUND|EAI_AGAIN)\b", "npm can't reach its registry"),
    (r"\bEACCES\b|[Pp]ermission denied", "the program lacks a permission: see its output"),
]

_STATUS = {
    401: "check the server's `headers`: it wants an `Authorization`",
    403: "check the server's `headers`: what `Authorization` they carry is not enough",
    404: "check the path of the `url`: it usually ends in /mcp",
    405: "check the path of the `url`: the server takes no POST there",
    429: "the server limits the rate of requests: lower `max_concurrency`",
}
_STREAM_STATUS: dict[int, str] = dict.fromkeys(
    (404, 405),
    "check the path of the `url`: that of the old HTTP+SSE transport ends in /sse mostly",
)
_ENDPOINT_STATUS: dict[int, str] = dict.fromkeys(
    (404, 405),
    "the server does not know the endpoint that it has named: does a proxy change paths?",
)


def from_stderr(text: str) -> str:
    """Return what the program's last words suggest, or the empty string."""
    for pattern, hint in _STDERR:
        if match := re.search(pattern, text):
            return hint.format(*match.groups())
    return ""


def from_status(status: int) -> str:
    """Return what an HTTP status suggests, or the empty string."""
    return _STATUS.get(status, "")


def from_stream_status(status: int) -> str:
    """Return what the status of an event stream suggests, or the empty string."""
    return _STREAM_STATUS.get(status) or from_status(status)


def from_endpoint_status(status: int) -> str:
    """Return what the status of a posted message suggests, or the empty string."""
    return _ENDPOINT_STATUS.get(status) or from_status(status)

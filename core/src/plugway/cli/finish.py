"""How `call`, `prompt` and `read` end: the chain, the result or the reason, and the exit code."""

from typing import Any

import click

from plugway.cli.app import App
from plugway.cli.calling import Called
from plugway.cli.explain import chain_document, show_chain
from plugway.cli.failures import DENIED, WRONG, print_error
from plugway.cli.results import show_result
from plugway.executor.record import StepRecord
from plugway_hookspecs import Deny, thaw

explain_option = click.option(
    "--explain", is_flag=True, help="Show which plugin did what, and what it cost."
)


def finish(app: App, called: Called, *, explain: bool) -> int:
    """Print what came of a request; return the exit code for it."""
    if app.as_json:
        app.document(_document(called, explain=explain))
    else:
        if explain:
            show_chain(app, called)
        _show(app, called, brief=explain)
    if called.denial is not None:
        return DENIED
    return WRONG if called.failed else 0


def _show(app: App, called: Called, *, brief: bool) -> None:
    if called.denial is not None:
        said = _denied(*called.denial)
        print_error(app.err, *(said[:1] if brief else said))
    elif called.error is not None:
        error = called.error
        print_error(app.err, f"{error.message} (JSON-RPC error {error.code})")
    elif called.result is not None:
        show_result(app, called.result)


def _denied(step: StepRecord, deny: Deny | None) -> list[str]:
    """Say who stopped the request, and why; the details are for the operator, who reads this."""
    said = [f"denied by {step.plugin!r} in {step.hook}: {step.detail or 'it failed'}"]
    if deny is None:
        return [*said, "the plugin failed, and it guards this call"]
    said.append(f"code: {deny.code}")
    if deny.description:
        said.append(deny.description)
    said += [f"{key}: {value}" for key, value in deny.details.items()]
    return said


def _document(called: Called, *, explain: bool) -> dict[str, Any]:
    error = called.error
    document: dict[str, Any] = {
        "request": called.operation.id,
        "name": called.operation.name,
        "server": called.operation.server,
        "result": called.result,
        "error": None,
        "denied": None,
        "total_ms": called.total / 1e6,
        "server_ms": None if called.server is None else called.server / 1e6,
    }
    if error is not None:
        document["error"] = {"code": error.code, "message": error.message, "data": error.data}
    if called.denial is not None:
        document["denied"] = _denial_document(*called.denial)
    if explain:
        document["chain"] = chain_document(called)
    return document


def _denial_document(step: StepRecord, deny: Deny | None) -> dict[str, Any]:
    return {
        "plugin": step.plugin,
        "hook": step.hook,
        "reason": step.detail,
        "code": deny.code if deny else "plugin_error",
        "description": deny.description if deny else "",
        "details": thaw(deny.details) if deny else {},
    }

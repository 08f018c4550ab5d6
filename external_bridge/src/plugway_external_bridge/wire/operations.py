"""What one plugway tells another about an operation: a hosted plugin sees what it would see here.

Only a host that says it is a plugway gets this; headers and credentials are never part of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.hooks import request_hook
from plugway_external_bridge.wire.payloads import payload_from_wire, payload_to_wire
from plugway_external_bridge.wire.plain import as_list, object_or_none
from plugway_hookspecs import (
    Client,
    Context,
    Finding,
    NotJsonError,
    Operation,
    Principal,
    freeze,
    thaw,
)

PLUGWAY = "plugway"
"""The key of plugway's own additions in a context, an `info` or a `metadata` object."""
HOST_META = "plugway/host"
"""The key in a listing's `_meta` by which a host says that it is a plugway."""


class _Principal(BaseModel):
    user: str | None = None
    tenant: str | None = None
    groups: tuple[str, ...] = ()
    claims: dict[str, Any] = {}


class _Client(BaseModel):
    name: str = ""
    version: str = ""
    protocol_version: str = ""
    transport: str = ""
    capabilities: dict[str, Any] = {}


class OperationWire(BaseModel):
    """An operation as it travels."""

    model_config = ConfigDict(extra="ignore")

    id: str = ""
    method: str = ""
    within: str = ""
    name: str = ""
    server: str = ""
    definition: dict[str, Any] | None = None
    request: dict[str, Any] | None = None
    principal: _Principal = _Principal()
    client: _Client = _Client()
    trace: dict[str, str] = {}
    states: dict[str, dict[str, Any]] = {}
    failed: bool = False
    """Whether the payload's `error` is the server's JSON-RPC error."""


def operation_to_wire(
    context: Context, *, failed: bool, states: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe the operation, as far as JSON can carry it."""
    principal, client = context.principal, context.client
    fields: dict[str, Any] = {
        "id": context.request_id,
        "method": context.method,
        "within": context.within or None,
        "name": context.name,
        "server": context.server,
        "definition": context.definition,
        "request": None if context.request is None else payload_to_wire(context.request),
        "principal": {name: getattr(principal, name) for name in _Principal.model_fields},
        "client": {name: getattr(client, name) for name in _Client.model_fields},
        "trace": dict(context.trace),
        "states": states,
        "failed": failed,
    }
    return {name: value for name, value in json_only(fields).items() if value is not None}


def read_operation(wire: object) -> OperationWire:
    """Read what `operation_to_wire` made; raises `WireError` for anything else."""
    try:
        return OperationWire.model_validate(wire)
    except ValidationError as error:
        raise WireError(f"an operation with {error.error_count()} wrong fields") from error


def make_operation(wire: OperationWire, *, event: str) -> Operation:
    """Make the operation that a hosted plugin is called for; raises `WireError`."""
    request = None
    hook = request_hook(event)
    if wire.request is not None and hook is not None:
        request = payload_from_wire(hook.payload, wire.request)
    try:
        return Operation(
            wire.id or uuid4().hex,
            wire.method or event,
            name=wire.name,
            server=wire.server,
            definition=freeze(wire.definition),
            request=request,
            principal=Principal(**dict(wire.principal)),
            client=Client(**dict(wire.client)),
            trace=wire.trace,
            within=wire.within,
            states=thaw(wire.states),
        )
    except NotJsonError as error:
        raise WireError(f"an operation with {error}") from error


def findings_to_wire(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return what plugins put on record, as far as JSON can carry it."""
    return [{"key": found.key, "value": _json_or_none(found.value)} for found in findings]


def annotate_findings(context: Context, wire: object) -> None:
    """Put the findings of a hosted plugin on record here; what is malformed is left out."""
    for item in as_list(wire):
        match item:
            case {"key": str() as key, **rest}:
                context.annotate(key, rest.get("value"))
            case _:
                continue


def json_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON can carry of an object, member by member and one level further down."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        try:
            kept[key] = freeze(value)
        except NotJsonError:
            if (members := object_or_none(value)) is not None:
                kept[key] = {k: v for k, v in members.items() if _is_json(v)}
    return kept


def _json_or_none(value: object) -> object:
    return value if _is_json(value) else None


def _is_json(value: object) -> bool:
    try:
        freeze(value)
    except NotJsonError:
        return False
    return True

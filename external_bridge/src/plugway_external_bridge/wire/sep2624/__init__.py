"""SEP-2624 (interceptors): everything of it that is still moving, and nothing else.

The proposal is a draft. What it has not settled (the invoking method's name, the shape of a
request's payload, error codes, aliases of older drafts) is decided in this package, so that nothing
outside changes when it is settled.
"""

from plugway_external_bridge.wire.sep2624.descriptors import (
    EXTENSION,
    LIST,
    MUTATION,
    VALIDATION,
    Binding,
    Descriptor,
    Hints,
    Kind,
    bindings,
    declared,
    read_descriptor,
    supported_events,
)
from plugway_external_bridge.wire.sep2624.errors import (
    failed,
    invalid_params,
    not_hooked,
    refused,
    timed_out,
    unknown_interceptor,
)
from plugway_external_bridge.wire.sep2624.invocations import (
    INVOKE,
    INVOKE_NAMES,
    Invocation,
    Shape,
    invoke_context,
    invoke_params,
    shape_of,
    unwrap,
    wrap,
)
from plugway_external_bridge.wire.sep2624.results import (
    Mutation,
    Validation,
    mutation_result,
    read_mutation,
    read_validation,
    validation_result,
)

__all__ = [
    "EXTENSION",
    "INVOKE",
    "INVOKE_NAMES",
    "LIST",
    "MUTATION",
    "VALIDATION",
    "Binding",
    "Descriptor",
    "Hints",
    "Invocation",
    "Kind",
    "Mutation",
    "Shape",
    "Validation",
    "bindings",
    "declared",
    "failed",
    "invalid_params",
    "invoke_context",
    "invoke_params",
    "mutation_result",
    "not_hooked",
    "read_descriptor",
    "read_mutation",
    "read_validation",
    "refused",
    "shape_of",
    "supported_events",
    "timed_out",
    "unknown_interceptor",
    "unwrap",
    "validation_result",
    "wrap",
]

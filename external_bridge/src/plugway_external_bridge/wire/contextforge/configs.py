"""How the protocol describes plugins: their configuration, without the part that may be secret."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from plugway_external_bridge.errors import WireError
from plugway_hookspecs import Mode, OnError, PluginInfo

HOOK_NAMES = (
    "prompt_pre_fetch",
    "prompt_post_fetch",
    "tool_pre_invoke",
    "tool_post_invoke",
    "resource_pre_fetch",
    "resource_post_fetch",
)
"""The hooks that both sides have."""

_MODES: Mapping[str, Mode] = {
    "sequential": Mode.ENFORCE,
    "enforce": Mode.ENFORCE,
    "enforce_ignore_error": Mode.ENFORCE,
    "transform": Mode.TRANSFORM,
    "permissive": Mode.TRANSFORM,
    "audit": Mode.AUDIT,
    "concurrent": Mode.VALIDATE,
    "fire_and_forget": Mode.BACKGROUND,
    "disabled": Mode.DISABLED,
}
_MODE_NAMES: Mapping[Mode, str] = {
    Mode.ENFORCE: "sequential",
    Mode.TRANSFORM: "transform",
    Mode.VALIDATE: "concurrent",
    Mode.AUDIT: "audit",
    Mode.BACKGROUND: "fire_and_forget",
    Mode.DISABLED: "disabled",
}


class PluginDescription(BaseModel):
    """A plugin as its server describes it; its own configuration is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[StrictStr, Field(min_length=1)]
    hooks: tuple[StrictStr, ...] = ()
    mode: StrictStr = "sequential"
    on_error: StrictStr = "fail"
    priority: StrictInt | None = None
    description: str | None = None

    @property
    def local_mode(self) -> Mode | None:
        """What the plugin's mode is called here; None for one that is unknown."""
        return _MODES.get(self.mode)

    @property
    def fails_open(self) -> bool:
        """Whether the server lets a call pass when the plugin fails."""
        return self.on_error == OnError.IGNORE or self.mode == "enforce_ignore_error"

    @property
    def weaknesses(self) -> list[str]:
        """Return the settings by which the server may hide a denial or a failure from us."""
        found: list[str] = []
        denies = self.local_mode is not None and self.local_mode.may_deny
        if not denies or self.mode == "enforce_ignore_error":
            found.append(f"mode {self.mode!r}")
        if self.on_error != OnError.FAIL:
            found.append(f"on_error {self.on_error!r}")
        return found


def read_plugin(raw: object) -> PluginDescription:
    """Read one description; raises `WireError`."""
    try:
        return PluginDescription.model_validate(raw)
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
        message = f"a plugin description with a wrong {', '.join(fields) or 'type'}"
        raise WireError(message) from error


def plugin_to_wire(info: PluginInfo) -> dict[str, Any]:
    """Describe a plugin; `config` is always empty, since it may hold secrets."""
    return {
        "name": info.name,
        "description": info.description or None,
        "author": None,
        "kind": info.kind,
        "namespace": None,
        "version": info.version or None,
        "hooks": [hook for hook in info.hooks if hook in HOOK_NAMES],
        "tags": [],
        "mode": _MODE_NAMES[info.mode],
        "on_error": info.on_error.value,
        "priority": info.priority,
        "conditions": [],
        "applied_to": None,
        "capabilities": [],
        "config": {},
        "mcp": None,
    }

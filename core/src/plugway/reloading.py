"""What a reload changed, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plugway.config import Config, GatewayConfig, PluginEntry, ServerConfig, VirtualServer
from plugway.succession import Built

_AT_START = (
    *("name", "host", "port", "path", "token", "allowed_hosts", "allowed_origins"),
    "fast_lane",
)
"""Settings that are only read when the gateway starts."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the plugins, or of the servers; names, in the order of the configuration."""

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    replaced: Sequence[str] = ()
    """Closed and made anew."""
    changed: Sequence[str] = ()
    """The same objects, under other rules."""
    kept: Sequence[str] = ()
    reordered: bool = False

    def __bool__(self) -> bool:
        groups = self.added, self.removed, self.replaced, self.changed
        return self.reordered or any(groups)

    def __str__(self) -> str:
        said = [
            f"{word} {', '.join(names)}"
            for word in ("added", "removed", "replaced", "changed")
            if (names := getattr(self, word))
        ]
        said += ["new order"] if self.reordered else []
        said += [f"{len(self.kept)} kept"] if self.kept else []
        return ", ".join(said) or "none"


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload changed."""

    plugins: Difference = field(default_factory=Difference)
    servers: Difference = field(default_factory=Difference)
    virtual_servers: Difference = field(default_factory=Difference)
    settings: Sequence[str] = ()
    """Settings of the gateway that are different now."""
    restart: Sequence[str] = ()
    """Keys that are different in the configuration and need a restart, such as `gateway.port`."""

    def __bool__(self) -> bool:
        return bool(self.offers or self.settings)

    @property
    def offers(self) -> bool:
        """Whether clients may be offered something else than before."""
        return bool(self.plugins or self.servers or self.virtual_servers)

    def __str__(self) -> str:
        parts = [f"plugins: {self.plugins}", f"servers: {self.servers}"]
        parts += [f"virtual servers: {self.virtual_servers}"] if self.virtual_servers else []
        parts += [f"settings changed: {', '.join(self.settings)}"] if self.settings else []
        return "; ".join(parts)


def compare(old: Built, new: Built, started: Config) -> Changes:
    """Say what is different; `started` is the configuration that the gateway was started with."""
    before, after = old.config.gateway, new.config.gateway
    settings = [
        key
        for key in GatewayConfig.model_fields
        if key not in _AT_START and getattr(before, key) != getattr(after, key)
    ]
    return Changes(
        _difference(_plugins(old), _plugins(new)),
        _difference(_servers(old), _servers(new)),
        _difference(_virtual_servers(old), _virtual_servers(new)),
        settings,
        _need_restart(started, new.config),
    )


def _need_restart(started: Config, wanted: Config) -> list[str]:
    old, new = started.gateway, wanted.gateway
    found = [f"gateway.{key}" for key in _AT_START if getattr(old, key) != getattr(new, key)]
    if new.max_payload_bytes > old.max_payload_bytes:
        found.append("gateway.max_payload_bytes (for what HTTP clients send)")
    return found if started.audit == wanted.audit else [*found, "audit"]


Things = Mapping[str, tuple[object, PluginEntry | ServerConfig | VirtualServer]]
"""By name: what runs, and what the configuration says about it."""


def _plugins(built: Built) -> Things:
    return {each.name: (each.running, each.entry) for each in built.registry.instances}


def _servers(built: Built) -> Things:
    config: Config = built.config
    return {name: (built.upstreams[name], server) for name, server in config.servers.items()}


def _virtual_servers(built: Built) -> Things:
    return {name: (None, virtual) for name, virtual in built.config.virtual_servers.items()}


def _difference(old: Things, new: Things) -> Difference:
    both = [name for name in new if name in old]
    same = [name for name in both if new[name][0] is old[name][0]]
    changed = [name for name in same if new[name][1] != old[name][1]]
    return Difference(
        added=[name for name in new if name not in old],
        removed=[name for name in old if name not in new],
        replaced=[name for name in both if name not in same],
        changed=changed,
        kept=[name for name in same if name not in changed],
        reordered=both != [name for name in old if name in new],
    )

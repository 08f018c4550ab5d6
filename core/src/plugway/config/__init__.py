"""The configuration: read from a file, checked as a whole, immutable."""

from plugway.config.document import Config
from plugway.config.loading import from_data, load, parse
from plugway.config.models import AuditConfig, GatewayConfig, PluginEntry, ServerConfig
from plugway.config.reference import schema
from plugway.config.virtual import VirtualServer

__all__ = [
    "AuditConfig",
    "Config",
    "GatewayConfig",
    "PluginEntry",
    "ServerConfig",
    "VirtualServer",
    "from_data",
    "load",
    "parse",
    "schema",
]

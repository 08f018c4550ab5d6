import json
import re
from typing import Any

from pydantic import BaseModel

from plugway.config import (
    AuditConfig,
    Config,
    GatewayConfig,
    PluginEntry,
    ServerConfig,
    VirtualServer,
    schema,
)
from plugway.executor.conditions import Condition
from plugway_hookspecs import PluginConfig

REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}


def test_every_key_is_described() -> None:
    definitions = schema()["$defs"]
    for model in (
        ServerConfig,
        VirtualServer,
        PluginEntry,
        GatewayConfig,
        AuditConfig,
        Condition,
    ):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert definitions[model.__name__]["properties"][name]["description"]
    assert all(field.description for field in Config.model_fields.values())


def test_the_schema_has_the_keys_of_the_file() -> None:
    top = schema()
    own = {"mcpServers", "virtualServers", "plugins", "gateway", "audit"}
    assert set(top["properties"]) == {"$schema", *own}
    assert top["additionalProperties"] is False
    assert top["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_references_may_stand_for_numbers_flags_and_choices() -> None:
    definitions = schema()["$defs"]
    for model, key in [
        ("GatewayConfig", "port"),
        ("ServerConfig", "expose"),
        ("ServerConfig", "era"),
        ("PluginEntry", "required"),
    ]:
        assert REFERENCE in definitions[model]["properties"][key]["anyOf"]


def test_modes_are_listed_with_their_other_names() -> None:
    text = str(schema()["$defs"]["PluginEntry"]["properties"]["mode"])
    for mode in ("enforce", "disabled", "sequential", "fire_and_forget", "enforce_ignore_error"):
        assert f"'{mode}'" in text


class Inner(BaseModel):
    limit: int = 1


class Mask(PluginConfig):
    mask: str = "full"
    inner: Inner = Inner()


def test_the_configuration_of_each_kind_is_part_of_the_schema() -> None:
    whole = schema({"pii_filter": Mask})
    (rule,) = whole["$defs"]["PluginEntry"]["allOf"]
    assert rule["if"] == {"properties": {"kind": {"const": "pii_filter"}}}
    target = resolve(whole, rule["then"]["properties"]["config"]["$ref"])
    assert set(target["properties"]) == {"mask", "inner"}
    inner = resolve(whole, target["properties"]["inner"]["$ref"])
    assert "limit" in inner["properties"]


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    found = document
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    whole = schema({"pii_filter": Mask})

    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(whole))
    assert len(references) > 5
    assert all(resolve(whole, reference) for reference in references)

"""What the everything server hands out: prompts, resources, and pieces of content."""

import json
from collections.abc import Callable

from mcp_types import (
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    Prompt,
    PromptArgument,
    PromptMessage,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
"""One red pixel."""
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
"""Silence, of no length."""
JSON_DOCUMENT = json.dumps({"test": "data", "value": 123})
TEMPLATE = "test://template/{id}/data"
SUGGESTIONS = ("paris", "park", "party", "test-value-1", "test-value-2")

Arguments = dict[str, str]
Writer = Callable[[Arguments], list[PromptMessage]]


def image(data: str) -> ImageContent:
    """Return a PNG as content."""
    return ImageContent(data=data, mime_type="image/png")


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    """Return a text resource as content."""
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def user(*blocks: ContentBlock | str) -> list[PromptMessage]:
    """Return one message of the user for each block; plain strings become text."""
    return [
        PromptMessage(
            role="user", content=TextContent(text=block) if isinstance(block, str) else block
        )
        for block in blocks
    ]


def _simple(_: Arguments) -> list[PromptMessage]:
    return user("This is a simple prompt for testing.")


def _image(_: Arguments) -> list[PromptMessage]:
    return user(image(PNG), "Please analyze the image above.")


def _arguments(given: Arguments) -> list[PromptMessage]:
    first, second = given.get("arg1", ""), given.get("arg2", "")
    return user(f"Prompt with arguments: arg1='{first}', arg2='{second}'")


def _resource(given: Arguments) -> list[PromptMessage]:
    text = "Embedded resource content for testing."
    resource = embedded(given.get("resourceUri", ""), "text/plain", text)
    return user(resource, "Please process the embedded resource above.")


def _prompt(name: str, description: str, *arguments: str) -> Prompt:
    listed = [PromptArgument(name=each, required=True) for each in arguments]
    return Prompt(name=name, description=description, arguments=listed)


_WRITERS: tuple[tuple[Prompt, Writer], ...] = (
    (_prompt("test_simple_prompt", "One message."), _simple),
    (_prompt("test_prompt_with_arguments", "Repeats its arguments.", "arg1", "arg2"), _arguments),
    (_prompt("test_prompt_with_embedded_resource", "Has a resource.", "resourceUri"), _resource),
    (_prompt("test_prompt_with_image", "Has an image."), _image),
)
PROMPTS = {prompt.name: (prompt, write) for prompt, write in _WRITERS}
"""Every prompt that is written without asking the client, by its name."""

RESOURCES = (
    Resource(
        uri="test://static-text",
        name="static-text",
        description="A text that never changes.",
        mime_type="text/plain",
    ),
    Resource(
        uri="test://static-binary",
        name="static-binary",
        description="An image that never changes.",
        mime_type="image/png",
    ),
    Resource(
        uri="test://watched-resource",
        name="watched-resource",
        description="A text that clients may subscribe to.",
        mime_type="text/plain",
    ),
)
TEMPLATES = (
    ResourceTemplate(
        uri_template=TEMPLATE,
        name="template",
        description="A document for any id.",
        mime_type="application/json",
    ),
)


def read(uri: str) -> TextResourceContents | BlobResourceContents | None:
    """Return the contents of a resource, or None where there is no such resource."""
    match uri:
        case "test://static-text":
            text = "This is the content of the static text resource."
        case "test://watched-resource":
            text = "This is the content of the watched resource."
        case "test://static-binary":
            return BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
        case _:
            return _from_template(uri)
    return TextResourceContents(uri=uri, mime_type="text/plain", text=text)


def _from_template(uri: str) -> TextResourceContents | None:
    before, after = TEMPLATE.split("{id}")
    number = uri.removeprefix(before).removesuffix(after)
    if uri != f"{before}{number}{after}" or not number or "/" in number:
        return None
    document = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
    return TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(document))

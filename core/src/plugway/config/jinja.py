"""Read the `{{ env.X }}` of ContextForge's files as `${X}`.

Their files are templates before they are YAML, so that `url: {{ env.URL }}` without quotes is
common. The references are therefore marked in the text, before it is parsed, with two characters
that nobody types.
"""

import re

from plugway.config.tree import Node, Reading, render

_OPEN, _CLOSE = "\ue000", "\ue001"
_NAME = r"(?:\.(?P<attribute>\w+)|\[\s*['\"](?P<item>\w+)['\"]\s*\])"
_GET = r"\.get\(\s*['\"](?P<got>\w+)['\"]\s*(?:,\s*['\"](?P<other>[^'\"{}$]*)['\"]\s*)?\)"
_FILTER = r"(?:\|\s*default\(\s*['\"](?P<default>[^'\"{}$]*)['\"][^)]*\)\s*)?"
_TEMPLATE = re.compile(rf"\{{\{{\s*env(?:{_GET}|{_NAME})\s*{_FILTER}\}}\}}")
_MARKED = re.compile(f"({_OPEN}[^{_CLOSE}]*{_CLOSE})")


def mark(text: str) -> str:
    """Return the text with its references to the environment marked; lines stay where they are."""
    return _TEMPLATE.sub(_mark, text)


def _mark(match: re.Match[str]) -> str:
    name = match["attribute"] or match["item"] or match["got"]
    default = match["default"] if match["default"] is not None else match["other"]
    return f"{_OPEN}{name}{'' if default is None else f':-{default}'}{_CLOSE}"


def unmark(root: Node) -> Reading:
    """Return the tree with references in plugway's form, and every other `$` as itself.

    Templates that are more than a reference are errors.
    """
    reading = Reading(root, alternatives="{{ env.VAR | default('...') }}")
    reading.root = _unmark(root, reading)
    return reading


def _unmark(node: Node, reading: Reading) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {key: _unmark(item, reading) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_unmark(item, reading) for item in value]
    elif isinstance(value, str):
        if "{{" in value or "{%" in value:
            reading.error("of templates, only {{ env.NAME }} and {{ env['NAME'] }} are read", node)
        if "${" in value:
            place = render(node.path)
            reading.notes.append(f"{place}: `${{` stays as it is; {{{{ env.NAME }}}} is replaced")
        value = "".join(
            f"${{{part[1:-1]}}}" if part.startswith(_OPEN) else part.replace("$", "$$")
            for part in _MARKED.split(value)
        )
    return Node(value, node.line, node.path)

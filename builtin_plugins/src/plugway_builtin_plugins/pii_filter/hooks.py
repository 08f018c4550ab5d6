"""The hook `pii_found`, through which other packages have a say in what is personal data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plugway_hookspecs import Context, Deny, Payload, hookspec


@dataclass(frozen=True, slots=True)
class PiiFindings(Payload):
    """What `pii_filter` found in one message, before it masks or blocks any of it.

    It has the very texts that must not get out, as who is to judge them has to see them: log and
    annotate types and numbers, and never the texts.
    """

    findings: Sequence[Mapping[str, Any]]
    """Type and text of each, such as `{"type": "email", "text": "a@b.io"}`; each pair once."""
    texts: Sequence[str]
    """All that there is to read in the message: what stands round a finding, what was missed."""
    hook: str
    """Where the message was looked at, such as `tool_post_invoke`."""

    def __repr__(self) -> str:
        """Say how much there is; the texts are in no log and no traceback.

        The digits tell records of two payloads apart, and are others in every process.
        """
        types = ", ".join(str(each.get("type")) for each in self.findings)
        return f"PiiFindings({types or 'nothing'}, in {self.hook}, {hash(self):x})"


class PiiHooks:
    """What `pii_filter` adds to the hooks of the gateway."""

    @hookspec
    async def pii_found(self, payload: PiiFindings, context: Context) -> PiiFindings | Deny | None:
        """See what `pii_filter` found in a message before it masks or blocks it."""

"""The gateway as one MCP server: the capabilities and instructions of all servers, merged."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from plugway.federation.catalog import Member
from plugway.jsonvalues import is_object
from plugway_hookspecs import PlugwayError

WAIT_SECONDS = 3.0
"""How long a client's handshake waits for servers that are still connecting."""

LISTS = ("tools", "prompts", "resources")
_COMPLETED = {"prompts", "resources"}

log = logging.getLogger(__name__)


class Federation:
    """What the federated servers are together, as clients learn it at their handshake."""

    def __init__(
        self,
        members: Sequence[Member],
        own_instructions: str | None,
        instructions_of: Callable[[str], str],
        lists: Sequence[str] = LISTS,
    ) -> None:
        """Merge `members`; `instructions_of` gives what a connected server says of itself.

        `lists` says which of their lists there are here.
        """
        self.members = tuple(members)
        self.own_instructions = own_instructions
        self.instructions_of = instructions_of
        self.lists = lists

    async def capabilities(self) -> dict[str, Any]:
        """Return what the connected servers can do together.

        While a server is not connected, everything it might list is declared: clients ask for lists
        only once, and a list that stays empty does no harm. Logging is always there.
        """
        await self._connect()
        declared: list[Mapping[str, Any]] = [m.source.capabilities for m in self.members]
        merged: dict[str, Any] = {"logging": {}}
        if any("completions" in each for each in declared) and _COMPLETED & {*self.lists}:
            merged["completions"] = {}
        for name in self.lists:
            if not all(declared) or any(name in each for each in declared):
                merged[name] = {"listChanged": True}
        if "resources" in merged and any(_subscribes(each) for each in declared):
            merged["resources"]["subscribe"] = True
        return merged

    def instructions(self, *, guarded: bool) -> str:
        """Return the gateway's own instructions, then each server's under its name.

        Where plugins guard what servers say of their tools, the servers' are left out: they would
        reach the model past the guards.
        """
        parts = [self.own_instructions] if self.own_instructions else []
        if guarded:
            return "".join(parts)
        said = [(m.name, text) for m in self.members if (text := self.instructions_of(m.name))]
        alone = len(self.members) == 1
        parts += [text if alone else f"{name}: {text}" for name, text in said]
        return "\n\n".join(parts)

    async def _connect(self) -> None:
        with anyio.move_on_after(WAIT_SECONDS):
            async with anyio.create_task_group() as tasks:
                for member in self.members:
                    if not member.source.capabilities:
                        tasks.start_soon(self._try, member)

    @staticmethod
    async def _try(member: Member) -> None:
        try:
            await member.source.connect()
        except PlugwayError as error:
            log.info("server %r takes no part in the handshake: %s", member.name, error)


def _subscribes(capabilities: Mapping[str, Any]) -> bool:
    """Whether a server tells of changes of single resources."""
    resources = capabilities.get("resources")
    return is_object(resources) and resources.get("subscribe") is True

"""A view: what one endpoint shows of the federation, and whether names have prefixes there.

Inside the gateway everything has its federated name, whichever endpoint a client uses: hooks,
conditions and records never see another. `lens.py` selects and renames on the way in and out.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from plugway.executor.conditions import Matcher
from plugway.methods import Kind


def nothing(_: str) -> bool:
    """Match no name: what a view does not show at all."""
    return False


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one endpoint shows, and under which names."""

    name: str = ""
    """The endpoint's name; empty for that of the whole federation."""
    servers: Mapping[str, str] | None = None
    """The servers that it shows, in configuration order, with their prefixes; None for all."""
    prefixed: bool = True
    """Whether names keep their servers' prefixes."""
    offered: Mapping[Kind, Matcher] = field(default_factory=dict[Kind, Matcher])
    """What it shows of them, by federated name; of a kind that is not here, everything."""

    @property
    def whole(self) -> bool:
        """Whether it shows everything as it is."""
        return self.servers is None

    def offers(self, kind: Kind, name: str) -> bool:
        """Whether it shows a federated name, if one of its servers has it."""
        matches = self.offered.get(kind)
        return matches is None or matches(name)

    def servers_of(self, kind: Kind) -> Container[str] | None:
        """Return the servers to ask for a list; None for all."""
        return () if self.offered.get(kind) is nothing else self.servers


WHOLE = View()
"""The federation as it is."""

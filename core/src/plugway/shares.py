"""How much each client may have of what there is for all of them, so that none takes it all."""

from collections import Counter
from collections.abc import Callable, Hashable

from plugway.jsonrpc import TOO_MANY, RpcError
from plugway_hookspecs import Principal


class Shares:
    """Counts what each holder has."""

    def __init__(self, most: int, refusal: str) -> None:
        """Let each holder have at most so many; who wants more reads `refusal`."""
        self._most = most
        self._refusal = refusal
        self._taken: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, holder: Hashable | None) -> Callable[[], None]:
        """Let a holder have one more, and return the way to give it back; None is not counted.

        Raises `RpcError`.
        """
        given_back = holder is None
        if holder is not None:
            if self._taken[holder] >= self._most:
                raise RpcError(TOO_MANY, self._refusal)
            self._taken[holder] += 1

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._taken[holder] -= 1
                if not self._taken[holder]:
                    del self._taken[holder]

        return give_back


def user_of(principal: Principal) -> Hashable | None:
    """Return who is asking; None where nobody knows: that may be one client, or all of them."""
    return None if principal.user is None else (principal.tenant, principal.user)

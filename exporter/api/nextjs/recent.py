"""Which models were started or stopped over REST a moment ago: dashboards ask for that, and then say the same once more
over Socket.IO. The routes note it, `live` asks."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

LIMIT = 1000


class Recent:
    """When each of them was. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()

    def note(self, name: str) -> None:
        """A model is started, or stopped, now."""
        self._noted[name] = self._clock()
        self._noted.move_to_end(name)
        if len(self._noted) > LIMIT:
            self._noted.popitem(last=False)

    def within(self, name: str, seconds: float) -> bool:
        """Whether that was so many seconds ago, or less."""
        noted = self._noted.get(name)
        return noted is not None and self._clock() - noted <= seconds

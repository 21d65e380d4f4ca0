"""Watches the home router: hears its events, and looks at its list now and then, in case one was missed. `models`
runs both in the background.

The events are asked for first, the list is read after that: what happens in between is in one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import NamedTuple

import httpx

from exporter.models.model import ModelsError, UnavailableError
from exporter.models.router.events import RouterEvent
from exporter.models.router.router import AwayError, NoRouterError, Router, ShortageError
from exporter.models.router.states import States
from exporter.system.snapshot import ModelState

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at the list, while the events are heard."""
HASTY_SECONDS = 1.0
"""While they are not, or there is no router."""
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_LIMIT_SECONDS = 2.0
SILENT_LOOKS = 6
"""So many looks without an answer, one after the other, and it is as though the router were gone."""
SURE_SECONDS = 1.0
"""So long a list is believed when an order is about to be given, or the preset file written."""
WORDS_SECONDS = 0.1
"""What a process last said comes by another way than the news of its end."""


class Home(NamedTuple):
    """The llama-server in router mode that loads go to."""

    name: str
    """Of the upstream."""
    url: str
    api_key: str | None = None


class Watch:
    """What is known of the home router, kept up to date."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        find_home: Callable[[], Home | None],
        states: States,
        *,
        waits_for_words: bool = False,
    ) -> None:
        self.appeared: Callable[[], None] = lambda: None
        """Called when a router has been listed that was not there before."""
        self.looked: Callable[[], None] = lambda: None
        """Called after every look, also where there was nothing to look at."""
        self.home: Home | None = None
        self.router: Router | None = None
        self.is_present = False
        """Whether it has been listed, and has not gone since."""
        self._client = client
        self._find_home = find_home
        self._states = states
        self._waits_for_words = waits_for_words
        self._silent_looks = 0
        self._silence: str | None = None
        """Why the last look had no answer; None where it had one, or nobody listens."""
        self._listed_at = -math.inf
        self._was_router = False
        self.hears = False
        """Whether its events are heard."""
        self._wanted = asyncio.Event()
        self._listening: asyncio.Timeout | None = None

    def ask(self) -> None:
        """Have the list looked at, at once."""
        self._wanted.set()

    def turn(self) -> Router | None:
        """To whoever is the home now. One that has been a router remains it until it proves to be none: whoever
        samples it does not know what it is while it is away, and another one has other models."""
        home = self._find_home()
        if self._was_router and self.home is not None and (home is None or home.name != self.home.name):
            home = self.home
        if home != self.home:
            self.home, self.is_present, self._was_router = home, False, False
            self._silent_looks, self._silence, self._listed_at = 0, None, -math.inf
            self.router = Router(self._client, home.url, home.api_key) if home is not None else None
            self._states.forget()
            if self._listening is not None and not self._listening.expired():
                self._listening.reschedule(0)
        return self.router

    async def look(self) -> Router:
        """Read the list. Raises UnavailableError, NoRouterError, FailedError."""
        router, since = self.turn(), self._states.version
        if router is None:
            raise UnavailableError("there is no llama-server in router mode")
        try:
            entries = await router.list()
        except ModelsError as error:
            if router is self.router:
                self._was_router = self._was_router and not isinstance(error, NoRouterError)
                self._miss(error)
            raise
        if router is self.router:
            self._silent_looks, self._silence, self._was_router = 0, None, True
            self._listed_at = time.monotonic()
            self._states.listed(entries, since)
            if not self.is_present:
                self.is_present = True
                self.appeared()
        return router

    async def confirm(self, within_seconds: float = 0.0) -> Router:
        """Look, unless that was done `within_seconds`, or the last look had no answer: then it is for `keep_looking` to
        find out when the router answers again, and nobody waits for that. Raises as `look`."""
        router = self.turn()
        if self._silence is not None:
            raise UnavailableError(self._silence)
        if router is not None and self.is_present and time.monotonic() - self._listed_at < within_seconds:
            return router
        return await self.look()

    async def keep_looking(self) -> None:
        """Look at the list, for ever."""
        while True:
            self._wanted.clear()
            if self.turn() is not None:
                with contextlib.suppress(ModelsError):
                    await self.look()
            self.looked()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self._is_well else HASTY_SECONDS):
                    await self._wanted.wait()

    async def keep_listening(self) -> None:
        """Hear the events, for ever."""
        delay = BACKOFF_FIRST_SECONDS
        while True:
            router = self.turn()
            if router is None:
                await asyncio.sleep(HASTY_SECONDS)
                continue
            try:
                async with asyncio.timeout(None) as self._listening:
                    await self._listen(router)
            except (UnavailableError, TimeoutError) as error:
                log.debug("the events of llama-server have ended", extra={"reason": str(error)})
            delay = BACKOFF_FIRST_SECONDS if self.hears else min(2 * delay, BACKOFF_LIMIT_SECONDS)
            self.hears, self._listening = False, None
            self.ask()
            await asyncio.sleep(delay)

    async def _listen(self, router: Router) -> None:
        async with aclosing(router.events()) as events:
            async for event in events:
                if event is None:
                    self.hears = True
                    self.ask()
                else:
                    await self._hear(event)

    async def _hear(self, event: RouterEvent) -> None:
        if self._waits_for_words and event.state is ModelState.UNLOADED and event.exit_code:
            await asyncio.sleep(WORDS_SECONDS)
        if not self._states.heard(event):
            self.ask()

    @property
    def _is_well(self) -> bool:
        return self.hears and self.is_present and self._silence is None

    def _miss(self, error: ModelsError) -> None:
        is_away = isinstance(error, AwayError | NoRouterError)
        self._silence = str(error) if isinstance(error, UnavailableError) and not is_away else None
        if isinstance(error, ShortageError):
            return
        self._silent_looks += 1
        if is_away or self._silent_looks >= SILENT_LOOKS:
            self.is_present = False
            self._states.away()

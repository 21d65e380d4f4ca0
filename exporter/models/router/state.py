"""What is known of one model of the home router. `states` owns these."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.models.model import LOADED, Status
from exporter.models.router.router import Entry
from exporter.system.model_facts import ListedModel
from exporter.system.snapshot import ModelState

WORDS: dict[ModelState, Status] = {
    ModelState.LOADED: Status.RUNNING,
    ModelState.SLEEPING: Status.IDLE,
    ModelState.LOADING: Status.LOADING,
    ModelState.FAILED: Status.ERROR,
    ModelState.UNLOADED: Status.STOPPED,
    ModelState.DOWNLOADING: Status.STOPPED,
}


@dataclass(slots=True)
class State:
    """One model. Only `States` changes it."""

    name: str
    status: Status = Status.STOPPED
    entry: Entry | None = None
    """As it was listed last."""
    info: ListedModel | None = None
    """Of the loaded model."""
    progress: float | None = None
    stage: str | None = None
    loading_since: float | None = None
    """Monotonic; None while it does not load, and where its load was not seen to begin."""
    load_seconds: float | None = None
    loaded_at: float | None = None
    """UTC seconds since the epoch."""
    error: str | None = None
    version: int = 0
    """Of `States`, when this changed last."""
    changed_at: float = 0.0
    """Monotonic."""
    asking: bool = False
    """We are telling the router to load it; until that is answered, no list can know."""
    spawned: bool = False
    """The router has told of the load that is under way."""
    dismissed: bool = False
    """We have told it to go: however its process ends then is no failure."""

    @property
    def held(self) -> bool:
        """Whether it has a process, which a reload of other options would end."""
        return self.status in LOADED or self.status is Status.LOADING

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its other names."""
        return self.entry.listed.aliases if self.entry is not None else ()

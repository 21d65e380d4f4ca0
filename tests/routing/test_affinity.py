"""Who served a conversation is remembered per tier, for the most recently used ones, within a bound."""

from __future__ import annotations

import tracemalloc

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter.routing.affinity import Affinity

KEYS = st.integers(0, 5)
TIERS = st.sampled_from(["Q2", "Q4"])


class TestAffinity:
    def test_each_tier_has_its_own(self) -> None:
        affinity = Affinity()
        affinity.remember(1, "Q2", "a")
        affinity.remember(1, "Q4", "b")
        assert (affinity.find(1, "Q2"), affinity.find(1, "Q4"), affinity.find(1, "Q3")) == ("a", "b", None)

    def test_the_last_one_to_serve_it_counts(self) -> None:
        affinity = Affinity()
        affinity.remember(1, "Q4", "a")
        affinity.remember(1, "Q4", "b")
        assert affinity.find(1, "Q4") == "b"
        assert len(affinity) == 1

    def test_finding_is_use(self) -> None:
        affinity = Affinity(limit=2)
        affinity.remember(1, "Q4", "a")
        affinity.remember(2, "Q4", "b")
        affinity.find(1, "Q4")
        affinity.remember(3, "Q4", "c")
        assert [affinity.find(key, "Q4") for key in (1, 2, 3)] == ["a", None, "c"]

    def test_a_full_memory_takes_two_megabytes(self) -> None:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            affinity = Affinity()
            for number in range(20_000):
                affinity.remember((1 << 62) + number, "Q4", "llama-server")
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(affinity) == 8192
        assert after - before < 2_500_000


class Memory(RuleBasedStateMachine):
    """Against a list of all entries, most recently used last."""

    @initialize(limit=st.integers(1, 6))
    def start(self, limit: int) -> None:
        self.limit = limit
        self.affinity = Affinity(limit)
        self.used: list[tuple[int, str, str]] = []

    @rule(key=KEYS, tier=TIERS, backend_id=st.sampled_from(["a", "b", "c"]))
    def remember(self, key: int, tier: str, backend_id: str) -> None:
        self.affinity.remember(key, tier, backend_id)
        others = [entry for entry in self.used if entry[:2] != (key, tier)]
        self.used = [*others, (key, tier, backend_id)][-self.limit :]

    @rule(key=KEYS, tier=TIERS)
    def find(self, key: int, tier: str) -> None:
        known = [entry for entry in self.used if entry[:2] == (key, tier)]
        self.used = [entry for entry in self.used if entry not in known] + known
        assert self.affinity.find(key, tier) == (known[0][2] if known else None)

    @invariant()
    def stays_within_its_limit(self) -> None:
        assert len(self.affinity) == len(self.used) <= self.limit


TestMemory = Memory.TestCase

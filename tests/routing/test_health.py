"""What takes an upstream out, what brings it back, and what is too old to do either."""

from __future__ import annotations

import copy
import logging
from math import inf

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.routing.health import CheckState, Condition, Health

BAD_CHECKS = (CheckState.LOADING, CheckState.DOWN)


def failed_at(now: float, *, active: bool) -> Health:
    """Ready, and then one failure."""
    health = Health("q4", active)
    if active:
        health.checked(now - 2, CheckState.UP)
    health.begin(now - 1)
    health.failed(now, now - 1)
    return health


def fail_trial(health: Health, now: float) -> None:
    assert health.begin(now)
    health.failed(now, now)


class TestFirst:
    def test_unknown_until_a_check(self) -> None:
        health = Health("q4", active=True)
        assert health.condition(0.0) is Condition.UNKNOWN
        assert health.retry_at(0.0) is None
        assert not health.begin(0.0)
        health.checked(1.0, CheckState.UP)
        assert health.condition(1.0) is Condition.READY

    def test_unknown_until_an_answer(self) -> None:
        health = Health("q4", active=True)
        health.begin(1.0)
        health.answered(1.0)
        assert health.condition(2.0) is Condition.READY

    def test_ready_from_the_start_where_no_checks_are_made(self) -> None:
        health = Health("q4", active=False)
        assert health.condition(0.0) is Condition.READY
        assert not health.begin(0.0), "an ordinary request, no trial"

    @pytest.mark.parametrize("state", BAD_CHECKS)
    @pytest.mark.parametrize("known", [True, False])
    def test_a_bad_check_takes_it_out(self, state: CheckState, known: bool) -> None:
        health = Health("q4", active=True)
        if known:
            health.checked(0.0, CheckState.UP)
        health.checked(1.0, state)
        assert health.condition(100.0) is Condition.DOWN
        assert health.retry_at(1.0) is None, "only the next check can tell"

    def test_conditions_sort_best_first(self) -> None:
        assert sorted(Condition, reverse=True) == [Condition.DOWN, Condition.UNKNOWN, Condition.READY]


class TestRecovery:
    def test_without_checks_a_trial_is_due_after_the_back_off(self) -> None:
        health = failed_at(10.0, active=False)
        assert health.condition(10.99) is Condition.DOWN
        assert health.retry_at(10.5) == 11.0
        assert not health.begin(10.5), "one that had nowhere else to go is no trial"
        assert health.condition(11.0) is Condition.READY
        assert health.retry_at(11.0) is None

    def test_with_checks_one_must_be_good_as_well(self) -> None:
        health = failed_at(10.0, active=True)
        assert health.retry_at(10.5) == 11.0
        assert health.condition(50.0) is Condition.DOWN
        assert health.retry_at(50.0) is None
        health.checked(51.0, CheckState.UP)
        assert health.condition(51.0) is Condition.READY

    def test_a_good_check_does_not_shorten_the_back_off(self) -> None:
        health = failed_at(10.0, active=True)
        health.checked(10.1, CheckState.UP)
        assert health.condition(10.9) is Condition.DOWN
        assert health.condition(11.0) is Condition.READY

    def test_a_bad_check_takes_the_good_one_back(self) -> None:
        health = failed_at(10.0, active=True)
        health.checked(10.1, CheckState.UP)
        health.checked(10.2, CheckState.DOWN)
        assert health.condition(11.0) is Condition.DOWN

    def test_after_mere_bad_checks_there_is_no_back_off(self) -> None:
        health = Health("q4", active=True)
        health.checked(1.0, CheckState.LOADING)
        health.checked(1.1, CheckState.UP)
        assert health.begin(1.1), "recovery is by a trial all the same"
        assert health.condition(1.2) is Condition.DOWN

    def test_one_trial_at_a_time(self) -> None:
        health = failed_at(10.0, active=False)
        assert health.begin(11.0)
        assert health.condition(11.0) is Condition.DOWN
        assert health.condition(100.0) is Condition.DOWN
        assert not health.begin(11.1)
        assert health.retry_at(11.1) is None

    def test_an_answered_trial_ends_the_outage(self) -> None:
        health = failed_at(10.0, active=False)
        assert health.begin(11.0)
        health.answered(11.0)
        assert health.condition(11.2) is Condition.READY
        assert not health.begin(11.3)

    def test_a_good_check_ends_the_outage_while_the_trial_is_in_its_prefill(self) -> None:
        health = failed_at(10.0, active=True)
        health.checked(11.0, CheckState.UP)
        assert health.begin(11.5)
        health.checked(16.0, CheckState.UP)
        assert health.condition(16.0) is Condition.READY
        health.failed(17.0, 11.5)
        assert health.condition(17.0) is Condition.DOWN, "the former trial was begun after the failure, so it counts"

    @pytest.mark.parametrize("active", [True, False])
    def test_a_trial_whose_client_left_is_due_again(self, active: bool) -> None:
        health = failed_at(10.0, active=active)
        health.checked(11.0, CheckState.UP)
        assert health.begin(12.0)
        health.released(12.0)
        assert health.condition(12.5) is Condition.READY
        assert health.begin(12.5)

    def test_a_trial_whose_client_left_after_a_bad_check_waits_for_a_good_one(self) -> None:
        health = failed_at(10.0, active=True)
        health.checked(11.0, CheckState.UP)
        assert health.begin(12.0)
        health.checked(13.0, CheckState.DOWN)
        health.released(12.0)
        assert health.condition(14.0) is Condition.DOWN

    def test_other_clients_that_leave_do_not_set_the_trial_free(self) -> None:
        health = failed_at(10.0, active=False)
        health.begin(10.5)
        assert health.begin(11.0)
        health.released(10.5)
        assert health.condition(12.0) is Condition.DOWN


class TestBackOff:
    def test_it_doubles_with_each_failed_trial_up_to_half_a_minute(self) -> None:
        health = failed_at(0.0, active=False)
        now, waits = 0.0, []
        for _ in range(8):
            due = health.retry_at(now)
            assert due is not None
            waits.append(due - now)
            now = due
            fail_trial(health, now)
        assert waits == [1, 2, 4, 8, 16, 30, 30, 30]

    def test_an_answer_starts_it_anew(self) -> None:
        health = failed_at(0.0, active=False)
        fail_trial(health, 1.0)
        assert health.begin(3.0)
        health.answered(3.0)
        health.begin(4.0)
        health.failed(5.0, 4.0)
        assert health.retry_at(5.0) == 6.0

    def test_a_good_check_alone_does_not_start_it_anew(self) -> None:
        """A server may be well by its own account and yet fail every request."""
        health = failed_at(0.0, active=True)
        health.checked(1.0, CheckState.UP)
        assert health.begin(1.5)
        health.checked(6.0, CheckState.UP)
        health.failed(7.0, 1.5)
        assert health.retry_at(7.0) == 9.0

    def test_an_answer_leaves_none_for_bad_checks_that_follow(self) -> None:
        health = failed_at(0.0, active=True)
        health.begin(0.1)
        health.answered(0.1)
        health.checked(0.2, CheckState.LOADING)
        health.checked(0.3, CheckState.UP)
        assert health.condition(0.3) is Condition.READY


class TestOverlap:
    def test_all_that_it_was_working_on_fails_as_one_outage(self) -> None:
        health = Health("q4", active=False)
        for since in (1.0, 2.0, 3.0):
            health.begin(since)
        health.failed(4.0, 1.0)
        health.failed(4.5, 2.0)
        health.failed(5.0, 3.0)
        assert health.retry_at(4.9) == 5.0
        fail_trial(health, 5.0)
        assert health.retry_at(5.1) == 7.0

    def test_a_failure_from_before_the_outage_does_not_bring_another(self) -> None:
        health = Health("q4", active=False)
        health.begin(1.0)
        health.begin(2.0)
        health.failed(4.0, 2.0)
        assert health.begin(5.0)
        health.answered(5.0)
        health.failed(6.0, 1.0)
        assert health.condition(6.0) is Condition.READY

    def test_what_dies_with_a_trial_does_not_count_on_top_of_it(self) -> None:
        health = failed_at(10.0, active=False)
        health.begin(10.5)
        assert health.begin(11.0)
        health.failed(11.2, 10.5)
        assert health.condition(12.0) is Condition.DOWN, "the trial is still on its way"
        health.failed(12.0, 11.0)
        assert health.retry_at(12.0) == 14.0

    def test_a_failure_during_an_outage_found_by_checks_adds_no_back_off(self) -> None:
        health = Health("q4", active=True)
        health.checked(0.0, CheckState.UP)
        health.begin(1.0)
        health.checked(2.0, CheckState.DOWN)
        health.failed(2.1, 1.0)
        health.checked(2.2, CheckState.UP)
        assert health.condition(2.2) is Condition.READY

    @pytest.mark.parametrize("outage", ["failure", "check"])
    def test_an_answer_that_was_owed_does_not_heal(self, outage: str) -> None:
        health = Health("q4", active=True)
        health.checked(0.0, CheckState.UP)
        health.begin(1.0)
        health.begin(2.0)
        if outage == "failure":
            health.failed(3.0, 2.0)
        else:
            health.checked(3.0, CheckState.DOWN)
        health.answered(1.0)
        assert health.condition(10.0) is Condition.DOWN

    def test_an_answer_to_what_was_sent_since_heals(self) -> None:
        health = failed_at(10.0, active=True)
        assert not health.begin(10.1)
        health.answered(10.1)
        assert health.condition(10.2) is Condition.READY

    def test_an_answer_that_was_owed_leaves_the_trial_and_its_back_off_alone(self) -> None:
        health = Health("q4", active=False)
        health.begin(1.0)
        health.begin(2.0)
        health.failed(3.0, 2.0)
        assert health.begin(4.0)
        health.answered(1.0)
        assert health.condition(4.5) is Condition.DOWN
        health.failed(5.0, 4.0)
        assert health.retry_at(5.0) == 7.0

    def test_what_began_at_the_very_moment_of_the_failure_is_too_old(self) -> None:
        health = failed_at(10.0, active=False)
        health.begin(10.0)
        health.answered(10.0)
        assert health.condition(10.5) is Condition.DOWN


class TestLog:
    @pytest.fixture(autouse=True)
    def _level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "exporter.routing.health")

    def test_once_when_it_fails_and_once_when_it_is_back(self, caplog: pytest.LogCaptureFixture) -> None:
        health = Health("q4", active=False)
        health.begin(1.0)
        health.begin(2.0)
        health.failed(3.0, 1.0)
        health.failed(3.1, 2.0)
        fail_trial(health, 4.0)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert health.begin(6.0)
        health.answered(6.0)
        health.begin(7.0)
        health.answered(7.0)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert {vars(record)["upstream"] for record in caplog.records} == {"q4"}
        health.begin(8.0)
        health.failed(9.0, 8.0)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]

    def test_not_for_checks(self, caplog: pytest.LogCaptureFixture) -> None:
        health = Health("q4", active=True)
        for now, state in enumerate((CheckState.UP, CheckState.DOWN, CheckState.LOADING, CheckState.UP)):
            health.checked(now, state)
        assert health.begin(4.0)
        health.answered(4.0)
        assert caplog.records == []

    def test_a_trial_that_fails_after_bad_checks(self, caplog: pytest.LogCaptureFixture) -> None:
        """By the checks alone, it would seem to be back."""
        health = Health("q4", active=True)
        health.checked(1.0, CheckState.DOWN)
        health.checked(2.0, CheckState.UP)
        fail_trial(health, 3.0)
        assert [record.levelname for record in caplog.records] == ["WARNING"]


class Requests(RuleBasedStateMachine):
    """Any order of requests, ends and checks, against a model that keeps the moments of the news; no two at once."""

    @initialize(active=st.booleans())
    def start(self, active: bool) -> None:
        self.active = active
        self.health = Health("q4", active)
        self.now = 0.0
        self.begun: list[float] = []
        self.trial: float | None = None
        self.bad = -inf
        self.good = -inf if active else 0.0
        self.up_check = -inf
        self.failure = -inf
        self.failures_in_a_row = 0

    def back_off_end(self) -> float:
        return self.failure + min(2 ** (self.failures_in_a_row - 1), 30) if self.failures_in_a_row else -inf

    def expected(self) -> Condition:
        if self.good > self.bad:
            return Condition.READY
        if self.bad == -inf:
            return Condition.UNKNOWN
        vouched = not self.active or self.up_check > self.bad
        due = self.trial is None and vouched and self.now >= self.back_off_end()
        return Condition.READY if due else Condition.DOWN

    def tick(self) -> None:
        self.now += 1 / 1024

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0, 29.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        self.tick()
        trial_is_due = self.expected() is Condition.READY and self.good < self.bad
        is_trial = self.health.begin(self.now)
        assert is_trial == trial_is_due
        if is_trial:
            assert self.trial is None, "a second trial while the first is on its way"
            self.trial = self.now
        self.begun.append(self.now)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.tick()
        since = self.end_one(data)
        if since == self.trial or since > self.bad:
            self.succeed()
            self.failures_in_a_row = 0
        self.health.answered(since)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.tick()
        since = self.end_one(data)
        was_up = self.good > self.bad or self.bad == -inf
        if since == self.trial or (was_up and since > self.bad):
            self.trial = None
            self.bad = self.failure = self.now
            self.failures_in_a_row += 1
        self.health.failed(self.now, since)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.tick()
        since = self.end_one(data)
        if since == self.trial:
            self.trial = None
        self.health.released(since)

    @rule()
    def good_check(self) -> None:
        self.tick()
        if self.active:
            self.up_check = self.now
            if self.good > self.bad or self.bad == -inf or self.trial is not None:
                self.succeed()
            self.health.checked(self.now, CheckState.UP)

    @rule(state=st.sampled_from(BAD_CHECKS))
    def bad_check(self, state: CheckState) -> None:
        self.tick()
        if self.active:
            self.bad = self.now
            self.health.checked(self.now, state)

    def end_one(self, data: st.DataObject) -> float:
        return self.begun.pop(data.draw(st.integers(0, len(self.begun) - 1)))

    def succeed(self) -> None:
        self.good = self.now
        self.trial = None

    @invariant()
    def is_ready_only_after_a_success_or_for_a_due_trial(self) -> None:
        assert self.health.condition(self.now) is self.expected()

    @invariant()
    def backs_off_at_most_half_a_minute(self) -> None:
        retry_at = self.health.retry_at(self.now)
        down = self.good < self.bad
        if down and self.trial is None and self.now < self.back_off_end():
            assert retry_at == self.back_off_end()
            assert retry_at <= self.failure + 30
            assert self.health.condition(retry_at - 1 / 4096) is Condition.DOWN
        else:
            assert retry_at is None

    @invariant()
    def recovers_by_a_good_check_and_a_trial(self) -> None:
        health, later = copy.deepcopy(self.health), self.now + 30
        if not self.active and self.trial is not None:
            health.answered(self.trial)
        if self.active:
            health.checked(later, CheckState.UP)
        assert health.condition(later) is Condition.READY
        health.begin(later)
        health.answered(later)
        assert health.condition(later) is Condition.READY
        assert not health.begin(later + 1), "it has recovered, there is nothing to try"


TestRequests = Requests.TestCase

"""Carries the cases out: one load generator process per interval, the targets in turn within each round."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from tests.bench.cases import Case
from tests.bench.load import Plan, Sample
from tests.bench.processes import resident_bytes
from tests.bench.targets import Target


@dataclass(slots=True)
class Measured:
    """What one target did in one case."""

    samples: list[Sample] = field(default_factory=list)
    """One per round."""
    resident_bytes: int = 0
    """Largest resident memory of the target after a round; 0 for `direct`."""


Results = dict[str, dict[str, Measured]]
"""By name of the case, then of the target."""


def run_load(plan: Plan, each_second: Callable[[], object] | None = None) -> Sample:
    """Run the load generator; meanwhile call `each_second`, about once a second. Raises RuntimeError when it fails."""
    command = [sys.executable, "-m", "tests.bench.load", json.dumps(asdict(plan))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while (output := _wait_a_second(process)) is None:
            if each_second is not None:
                each_second()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with status {process.returncode}")
    return Sample(**json.loads(output))


def _wait_a_second(process: subprocess.Popen[str]) -> str | None:
    """The output of a process that ends within a second; None when it runs on."""
    try:
        return process.communicate(timeout=1.0)[0]
    except subprocess.TimeoutExpired:
        return None


def run_cases(
    cases: Sequence[Case], targets: Sequence[Target], rounds: int, seconds: float, tell: Callable[[str], None]
) -> Results:
    """Measure every case on every target, which take turns within a case, so that a slow minute hits all of them."""
    results: Results = {}
    for case in cases:
        tell(case.name)
        measured = results[case.name] = {target.name: Measured() for target in targets}
        for _ in range(case.rounds or rounds):
            for target in targets:
                one = measured[target.name]
                one.samples.append(run_load(case.plan(target.port, target.pids, seconds)))
                one.resident_bytes = max(one.resident_bytes, resident_bytes(target.pids))
    return results

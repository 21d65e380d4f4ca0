"""The life of a process that records: it is imported, forks, and ends. Each is a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.client.recorder import Recorder
from tests.client.threaded import LIMIT_SECONDS, wait_until

HEAD = """
import os, sys, threading, time
from exporter.client import get_metrics_collector
collector = get_metrics_collector(sys.argv[1])
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # in one piece, also beside another process
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    # From Python 3.12 on there is a DeprecationWarning at every fork of a process with threads.
    options = ["-W", "error::ResourceWarning", "-W", "ignore::DeprecationWarning"]
    command = [sys.executable, *options, "-c", HEAD + code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(code: str, *arguments: str) -> tuple[str, str]:
    """Standard output and errors of a process that ends well."""
    with start(code, *arguments) as process:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, err
    return out, err


def test_what_is_recorded_just_before_the_end_arrives(recorder: Recorder) -> None:
    out, err = run("for call in range(200): collector.record_query('Q4', call)", recorder.url)
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [float(call) for call in range(200)]
    assert (out, err) == ("", "")


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "sys.exit()", "threading.Timer(0.05, lambda: None).start()"])
def test_however_the_interpreter_ends(recorder: Recorder, end: str) -> None:
    run(f"collector.update_model_availability('Q4', 1, 1)\n{end}", recorder.url)
    assert recorder.bodies("availability") == [{"tier": "Q4", "available": 1, "total": 1}]


def test_an_error_of_the_application_stays_its_own(recorder: Recorder) -> None:
    with start("collector.record_query('Q4', 1)\nraise KeyError('mine')", recorder.url) as process:
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1
    assert err.endswith("KeyError: 'mine'\n")
    assert len(recorder.received) == 1


def test_the_end_waits_two_seconds_for_a_sidecar_that_is_away_and_no_longer(free_port: int) -> None:
    process = start(
        "collector.record_query('Q4', 1); other = get_metrics_collector(sys.argv[1] + '/x')\n"
        "other.record_query('Q4', 1)\nsay('done')",
        f"http://127.0.0.1:{free_port}",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    began = time.monotonic()
    _, err = process.communicate(timeout=LIMIT_SECONDS)
    assert 1.5 < time.monotonic() - began < 10
    assert process.returncode == 0
    told = f"127.0.0.1:{free_port} does not answer (ConnectionRefusedError); records wait (said once)\n"
    assert err == told * 2  # each of the two says so


def test_the_end_does_not_wait_for_a_sidecar_that_hangs(recorder: Recorder) -> None:
    recorder.is_open.clear()
    out, err = run("collector.record_query('Q4', 1)", recorder.url)
    assert (out, err) == ("", "")
    recorder.is_open.set()
    recorder.wait_for(1)  # the one that was on its way


def test_records_at_the_end_of_the_end_are_dropped_in_silence(recorder: Recorder) -> None:
    # Registered before ours, so called after it.
    code = "import atexit\natexit.register(lambda: late('Q4', 1))\n"
    command = [sys.executable, "-c", code + HEAD + "late = collector.record_query\nlate('Q4', 0)", recorder.url]
    process = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True)
    assert process.stderr == ""
    assert len(recorder.received) == 1


FORK = """
collector.record_query("parent", 0)
assert collector.flush(10)
held = threading.Event()
def keep_the_lock():
    with collector._outbox._changed:
        held.set()
        time.sleep(0.5)
threading.Thread(target=keep_the_lock).start()
held.wait()
pid = os.fork()
who = "parent" if pid else "child"
for call in range(1, 101):
    collector.record_query(who, call)
assert collector.flush(10)
say(who, collector.sent, collector.dropped)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
else:
    collector.record_query(who, 101)  # leaves with the end of the interpreter
"""


def test_a_forked_child_records_with_a_thread_of_its_own_and_sends_nothing_of_its_parent(recorder: Recorder) -> None:
    out, err = run(FORK, recorder.url)
    assert sorted(out.splitlines()) == ["child 100 0", "parent 101 0"]
    assert err == ""
    latencies = {"parent": [*range(101)], "child": [*range(1, 102)]}
    for who, expected in latencies.items():
        assert [body["latency_ms"] for body in recorder.bodies("query") if body["tier"] == who] == expected
    assert len(recorder.clients) == 2


def test_what_waits_when_a_process_forks_is_sent_once(recorder: Recorder) -> None:
    recorder.is_open.clear()
    code = """
for call in range(50): collector.record_query("parent", call)
sys.stdin.readline()
pid = os.fork()
say(collector.sent)
assert collector.flush(10)
if pid: os.waitpid(pid, 0)
"""
    with start(code, recorder.url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        wait_until(lambda: recorder.times)  # the first is on its way, and the thread waits for its answer
        process.stdin.write("now\n")
        process.stdin.flush()
        said = [process.stdout.readline() for _ in range(2)]
        recorder.is_open.set()
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    assert said == ["0\n", "0\n"]
    assert (process.returncode, err) == (0, "")
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [float(call) for call in range(50)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_send_what_they_have_recorded(
    recorder: Recorder, tmp_path: Path, method: str
) -> None:
    main = f"""
import multiprocessing, sys
from exporter.client import get_metrics_collector

def work(url, number):
    get_metrics_collector(url).record_query(f"T{{number}}", 1)

if __name__ == "__main__":
    get_metrics_collector(sys.argv[1]).record_query("parent", 1)
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(sys.argv[1], number)) for number in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
"""
    script = tmp_path / "application.py"
    script.write_text(main)
    command = [sys.executable, str(script), recorder.url]
    process = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert Counter(body["tier"] for body in recorder.bodies("query")) == Counter(["parent", "T0", "T1", "T2"])


def test_importing_it_takes_nothing_of_the_sidecar_along() -> None:
    out, _ = run("import json; print(json.dumps(sorted(sys.modules)))", "http://127.0.0.1:9")
    modules: list[str] = json.loads(out)
    ours = [name for name in modules if name.split(".")[0] == "exporter"]
    assert ours == [
        "exporter",
        *(f"exporter.client{name}" for name in ("", ".collector", ".outbox", ".sidecar", ".values")),
    ]
    assert not {"asyncio", "httpx", "prometheus_client", "pydantic", "starlette", "uvicorn"}.intersection(modules)


def test_it_leaves_no_line_in_a_log_that_shows_everything(recorder: Recorder) -> None:
    code = "import logging\nlogging.basicConfig(level=0)\nfor _ in range(3): collector.record_query('Q4', 1)"
    assert run(code, recorder.url) == ("", "")
    assert len(recorder.received) == 3

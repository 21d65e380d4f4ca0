"""docs/deploy.md: what it names exists, and what it says to type works as far as it can without a cluster."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.deploy.files import COMPOSE, ROOT, environment, load

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
PLACES = ("deploy/", "docs/", "prometheus/", "dashboards/", "docker-compose.yml", "Dockerfile", "constraints.txt")


def named(page: str) -> set[str]:
    """Files and folders of the repository that are named in code, patterns and placeholders left out."""
    words = set(re.findall(r"[\w./-]+", " ".join(re.findall(r"```.*?```|`[^`]+`", page, re.DOTALL))))
    return {word.rstrip("/.") for word in words if word.startswith(PLACES) and not re.search(r"/$|\*", word)}


def test_every_file_that_it_names_exists() -> None:
    assert len(named(PAGE)) > 8
    assert [path for path in named(PAGE) if not (ROOT / path).exists()] == []
    assert named("see `deploy/nomad.hcl`") == {"deploy/nomad.hcl"}


def test_every_profile_and_environment_file_has_its_line() -> None:
    profiles = {name for service in load(COMPOSE)["services"].values() for name in service.get("profiles", [])}
    lines = set(re.findall(r"`cp (\S+) \.env`", PAGE))
    assert lines == {f"deploy/compose/{path.name}" for path in (ROOT / "deploy" / "compose").iterdir()}
    offered = {environment(ROOT / line).get("COMPOSE_PROFILES") for line in lines} - {None}
    assert offered | set(re.findall(r"--profile (\w+) up", PAGE)) == profiles


def test_variables_are_those_of_compose() -> None:
    text = re.sub(r"(?m)^#.*$", "", COMPOSE.read_text(encoding="utf-8"))
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    (table,) = re.findall(r"\| variable \|.*?\n\n", PAGE, re.DOTALL)
    rows = [row.split("|") for row in table.splitlines()[2:] if row]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    passed = set(re.findall(r"^ +([A-Z_]+):$", text, re.MULTILINE))
    assert told == set(defaults) | passed
    for row in rows:
        values = re.findall(r"`([^`]+)`", row[2])
        assert not values or defaults[re.findall(r"`(\w+)`", row[1])[0]] == values[0]


@pytest.fixture
def shell() -> str:
    """The lines that turn rules into objects for the operator, without the one that needs a cluster."""
    (block,) = re.findall(r"```sh\n(for file in prometheus.*?)```", PAGE, re.DOTALL)
    script: str = block.partition("> rules.yaml")[0]
    return script


def test_rules_become_objects_of_the_operator(shell: str) -> None:
    done = subprocess.run(["sh", "-euc", shell], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    objects = list(yaml.safe_load_all(done.stdout))
    files = [*ROOT.glob("prometheus/rules/*.yml"), *ROOT.glob("prometheus/alerts/*.yml")]
    assert len(files) == len(objects)
    assert {each["metadata"]["name"] for each in objects} == {f"llama-{path.parent.name}-{path.stem}" for path in files}
    groups = [group for path in files for group in load(path)["groups"]]
    assert sorted(group["name"] for each in objects for group in each["spec"]["groups"]) == sorted(
        g["name"] for g in groups
    )
    assert sum(len(each["spec"]["groups"]) for each in objects) == len(groups)

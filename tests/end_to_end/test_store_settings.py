"""Where history is kept, as the command line, the environment and a file say it; and that no password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.cli import main

SECRET = "geheim-4d2a"
FLEET = f"postgresql://tester:{SECRET}@127.0.0.1:1/history"


class Said:
    """What a command printed, and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.code = main(arguments)
        self.out, self.error = capsys.readouterr()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"mysql://tester:{SECRET}@127.0.0.1/history", "it must look like sqlite:////var/lib"),
        (f"{SECRET}", "it must look like sqlite:////var/lib"),
        ("sqlite://history.db", "sqlite: three slashes for a path from here, four for one from the root"),
        ("sqlite:///:memory:", "sqlite: it must name a file, and nothing else"),
        (f"postgresql://tester:{SECRET}@127.0.0.1", "postgresql: it must look like postgresql://user:password@host"),
        (f"postgresql://tester:{SECRET}@127.0.0.1:port/x", "postgresql: it must look like postgresql://user:password"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "check-config", "print-config"])
def test_a_place_that_can_be_none(capsys: pytest.CaptureFixture[str], command: str, url: str, reason: str) -> None:
    said = Said(capsys, command, "--store", url)
    (line,) = said.error.splitlines()
    assert (said.code, said.out) == (2, "")
    assert line.startswith(f"llama-exporter: command line: store.url: {reason}")
    assert SECRET not in line


def test_passwords_are_not_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = Said(capsys, "print-config", "--store", FLEET)
    assert shown.code == 0
    assert "# url is set, and secret" in shown.out
    assert SECRET not in shown.out + shown.error
    checked = Said(capsys, "check-config", "--store", FLEET)
    assert (checked.code, SECRET in checked.out + checked.error) == (0, False)


def test_the_usual_place_is_printed_and_understood(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a state"))
    shown = Said(capsys, "print-config")
    assert f'url = "sqlite:///{tmp_path}/a%20state/llama-exporter/history.db"' in shown.out
    file = tmp_path / "again.toml"
    file.write_text(shown.out)
    assert Said(capsys, "print-config", "--config", str(file)).out == shown.out
    assert 'url = "none"' in Said(capsys, "print-config", "--config", str(file), "--store", "none").out


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    text = capsys.readouterr().out
    assert "--store URL" in text
    assert "--completions-listen H:P" in text

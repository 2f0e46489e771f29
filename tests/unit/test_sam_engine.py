"""Which container engine `make test-sam` takes, and what it says where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.sam import CannotRun
from local.sam import engine as engines
from local.sam.engine import CommandFailed, Engine, engine, last_line


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, without administrators' programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(engines, "ADMINISTRATORS", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_an_engine_that_answers_is_taken_and_none_started(programs: Path, tmp_path: Path) -> None:
    program(programs, "docker", "echo 29.1")
    said: list[str] = []
    with engine(tmp_path, said.append) as found:
        assert (found.version, found.own) == ("29.1", False)
    assert said == []


def test_what_goes_wrong_while_it_is_used_is_not_taken_for_its_absence(programs: Path, tmp_path: Path) -> None:
    program(programs, "docker", "echo 29.1")
    with pytest.raises(CommandFailed, match="later"), engine(tmp_path, print):
        raise CommandFailed("later")


@pytest.mark.parametrize(
    ("platform", "user", "said"), [("darwin", 501, "needs Linux"), ("linux", 1000, "only root can start one")]
)
def test_without_one_it_says_what_to_do(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, user: int, said: str
) -> None:
    program(programs, "docker", "echo 'Cannot connect to the daemon' >&2; exit 1")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(CannotRun, match=said) as refused, engine(tmp_path, print):
        pytest.fail("there is no engine")
    assert "Cannot connect to the daemon" in str(refused.value)
    assert "run `make test-sam` again" in str(refused.value)


def test_what_is_missing_is_named_where_it_cannot_be_installed(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CannotRun, match=r"docker\.io iproute2 iptables"), engine(tmp_path, print):
        pytest.fail("there is no engine")
    program(programs, "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    with pytest.raises(CannotRun, match=r"`apt-get update` ended with 100: E: Unable"), engine(tmp_path, print):
        pytest.fail("there is no engine")


def test_a_network_that_may_not_be_made_is_told(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dockerd", "iptables", "ip"):
        program(programs, name, "exit 1")
    program(programs, "docker", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def refused(_kind: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unshare", refused, raising=False)
    with pytest.raises(CannotRun, match="in a container, this needs privileges"), engine(tmp_path, print):
        pytest.fail("there is no engine")


def test_a_command_fails_with_the_last_that_it_said(programs: Path) -> None:
    program(programs, "docker", "echo 'warning: old' >&2; echo 'no such image' >&2; exit 1")
    with pytest.raises(CommandFailed, match=r"^no such image$"):
        Engine("29.1", environment={"PATH": f"{programs}:/bin"}).run("image", "inspect", "x")


def test_a_command_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(command: list[str], **_options: object) -> None:
        raise subprocess.TimeoutExpired(command, 1.0)

    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(CommandFailed, match="`docker pull` gave no answer for 1 s"):
        Engine("29.1").run("pull", "x", timeout=1.0)


def test_the_last_line_of_nothing_is_empty() -> None:
    assert last_line("one\n two \n\n") == "two"
    assert last_line("\n") == ""

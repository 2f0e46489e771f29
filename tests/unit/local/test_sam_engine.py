"""Tests for choosing the container engine of `make test-sam`, and for the messages where none can run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.sam import CannotRun
from local.sam import engine as engines
from local.sam.engine import CommandFailed, Engine, last_line, open_engine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that replaces PATH and the folders of administrators' programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(engines, "ADMINISTRATORS", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_running_engine_is_used_and_none_is_started(programs: Path, tmp_path: Path) -> None:
    program(programs, "docker", "echo 29.1")
    messages: list[str] = []
    with open_engine(tmp_path, messages.append) as running_engine:
        assert (running_engine.version, running_engine.own) == ("29.1", False)
    assert messages == []


def test_a_failure_while_an_engine_is_used_is_not_reported_as_a_missing_engine(programs: Path, tmp_path: Path) -> None:
    program(programs, "docker", "echo 29.1")
    with pytest.raises(CommandFailed, match="later"), open_engine(tmp_path, print):
        raise CommandFailed("later")


@pytest.mark.parametrize(
    ("platform", "user", "message"), [("darwin", 501, "needs Linux"), ("linux", 1000, "only root can start one")]
)
def test_without_an_engine_the_error_says_what_to_do(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, user: int, message: str
) -> None:
    program(programs, "docker", "echo 'Cannot connect to the daemon' >&2; exit 1")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(CannotRun, match=message) as caught, open_engine(tmp_path, print):
        pytest.fail("there is no engine")
    assert "Cannot connect to the daemon" in str(caught.value)
    assert "run `make test-sam` again" in str(caught.value)


def test_missing_packages_are_named_if_they_cannot_be_installed(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CannotRun, match=r"docker\.io iproute2 iptables"), open_engine(tmp_path, print):
        pytest.fail("there is no engine")
    program(programs, "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    with pytest.raises(CannotRun, match=r"`apt-get update` ended with 100: E: Unable"), open_engine(tmp_path, print):
        pytest.fail("there is no engine")


def test_a_forbidden_network_namespace_is_explained(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dockerd", "iptables", "ip"):
        program(programs, name, "exit 1")
    program(programs, "docker", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def deny_unshare(_kind: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unshare", deny_unshare, raising=False)
    with pytest.raises(CannotRun, match="in a container, this needs privileges"), open_engine(tmp_path, print):
        pytest.fail("there is no engine")


def test_a_failed_command_reports_its_last_line(programs: Path) -> None:
    program(programs, "docker", "echo 'warning: old' >&2; echo 'no such image' >&2; exit 1")
    with pytest.raises(CommandFailed, match=r"^no such image$"):
        Engine("29.1", environment={"PATH": f"{programs}:/bin"}).run("image", "inspect", "x")


def test_a_command_that_does_not_end_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(command: list[str], **_options: object) -> None:
        raise subprocess.TimeoutExpired(command, 1.0)

    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(CommandFailed, match="`docker pull` gave no answer for 1 s"):
        Engine("29.1").run("pull", "x", timeout=1.0)


def test_the_last_line_of_blank_output_is_empty() -> None:
    assert last_line("one\n two \n\n") == "two"
    assert last_line("\n") == ""

"""Which image the functions run in: AWS's own where it is here or can be pulled, else a stand-in."""

from dataclasses import dataclass
from pathlib import Path

from local.sam import CannotRun, stand_in
from local.sam.engine import CommandFailed, Engine, Report

AWS_IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"
# Under a name of our own: nothing that asks for AWS's image is ever given this.
STAND_IN = "email-sender/stand-in-for-lambda-python:3.13"
PYTHON = "/var/lang/bin/python3.13"
PULL_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Image:
    """The image that functions run in. `why` says why it is not AWS's own; None where it is."""

    name: str
    why: str | None = None

    @property
    def shown(self) -> str:
        return self.name if self.why is None else f"a stand-in for {AWS_IMAGE}"


def choose(engine: Engine, home: Path, report: Report) -> Image:
    """AWS's image, present or pulled, else the stand-in, built.

    Raises:
        CannotRun: AWS's cannot be had, and the stand-in cannot be built on this machine.
    """
    try:
        engine.run("image", "inspect", AWS_IMAGE)
    except CommandFailed:
        why = _pull(engine, report)
    else:
        return Image(AWS_IMAGE)
    if why is None:
        return Image(AWS_IMAGE)
    report(f"AWS's image is not to be had ({why}): building a stand-in from this machine's own Python …")
    try:
        stand_in.build(home / "stand-in", lambda archive: engine.run("import", *_settings(), str(archive), STAND_IN))
    except CommandFailed as error:
        raise CannotRun(f"The engine did not take the stand-in: {error}") from error
    return Image(STAND_IN, why)


def _pull(engine: Engine, report: Report) -> str | None:
    """Why AWS's image could not be pulled; None where it was."""
    if engine.own:
        return "the engine of this run has no way out of this machine; beside one that runs, it is pulled"
    report(f"pulling {AWS_IMAGE} …")
    try:
        engine.run("pull", "--quiet", AWS_IMAGE, timeout=PULL_SECONDS)
    except CommandFailed as error:
        return str(error)
    return None


def _settings() -> list[str]:
    lines = [f"ENV {name}={value}" for name, value in stand_in.ENVIRONMENT.items()]
    return [part for line in [*lines, "WORKDIR /var/task"] for part in ("--change", line)]

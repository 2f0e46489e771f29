"""Choose the image for the functions: AWS's image if it is present or can be pulled, else a stand-in."""

from dataclasses import dataclass
from pathlib import Path

from local.sam import CannotRun, stand_in
from local.sam.engine import CommandFailed, Engine, Report

AWS_IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"
# A separate name, so that the stand-in is never mistaken for AWS's image.
STAND_IN = "email-sender/stand-in-for-lambda-python:3.13"
PYTHON = "/var/lang/bin/python3.13"
PULL_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Image:
    """The image in which functions run. `why` is the reason why it is not AWS's image; None if it is."""

    name: str
    why: str | None = None

    @property
    def label(self) -> str:
        return self.name if self.why is None else f"a stand-in for {AWS_IMAGE}"


def choose_image(engine: Engine, home: Path, report: Report) -> Image:
    """Return AWS's image if it is present or can be pulled, else build and return the stand-in.

    Raises:
        CannotRun: AWS's image is not available, and the stand-in cannot be built on this machine.
    """
    try:
        engine.run("image", "inspect", AWS_IMAGE)
    except CommandFailed:
        reason = _pull(engine, report)
    else:
        return Image(AWS_IMAGE)
    if reason is None:
        return Image(AWS_IMAGE)
    report(f"AWS's image is not available ({reason}). Building a stand-in from this machine's Python …")
    try:
        stand_in.build(home / "stand-in", lambda archive: engine.run("import", *_settings(), str(archive), STAND_IN))
    except CommandFailed as error:
        raise CannotRun(f"The engine could not import the stand-in: {error}") from error
    return Image(STAND_IN, reason)


def _pull(engine: Engine, report: Report) -> str | None:
    """Pull AWS's image. Return None, or the reason if that failed."""
    if engine.own:
        return "the temporary engine has no network access; an engine that is already running would pull it"
    report(f"Pulling {AWS_IMAGE} …")
    try:
        engine.run("pull", "--quiet", AWS_IMAGE, timeout=PULL_SECONDS)
    except CommandFailed as error:
        return str(error)
    return None


def _settings() -> list[str]:
    lines = [f"ENV {name}={value}" for name, value in stand_in.ENVIRONMENT.items()]
    return [part for line in [*lines, "WORKDIR /var/task"] for part in ("--change", line)]

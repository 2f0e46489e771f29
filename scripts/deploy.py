"""Deploys what was built, with every parameter's value from where it is kept.

PARAMETERS=prod.yaml python scripts/deploy.py prod

A value is samconfig.toml's, then that of PARAMETERS, a YAML file of names and values (or pairs, "DatabaseHost=… …");
the version is this checkout's. What is named nowhere keeps the stack's last value, as `sam deploy` does it.
"""

import difflib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from email_sender.adapters.yaml_documents import read_yaml
from email_sender.errors import InvalidInput
from local.aws.configuration import configuration_word
from local.aws.intrinsics import read_template

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / ".aws-sam/build/template.yaml"
VALUES = ROOT / ".aws-sam/parameters.yaml"

_WORD = re.compile(r"^(?P<key> +CONFIGURATION): .*$", re.M)


class Refused(ValueError):
    """What was asked for cannot be deployed; the message says what to change."""


def given(text: str) -> dict[str, str]:
    """Names and values of a YAML file, or of pairs as a shell has them. Raises Refused."""
    if not text.strip().endswith((".yaml", ".yml")):
        return pairs(text)
    path = Path(text.strip())
    try:
        source = path.read_text()
        document = read_yaml(source)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    except (InvalidInput, UnicodeDecodeError) as error:
        raise Refused(f"{path} {error}") from error
    if not isinstance(document, dict):
        raise Refused(
            f"{path} is to have a parameter's name and its value in each line: `DatabaseHost: db.example.com`."
        )
    # As it is written: of an account's number no leading zero is lost.
    texts = yaml.load(source, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts
    return {name: _text(value, text) for (name, text), value in zip(texts.items(), document.values(), strict=True)}


def pairs(text: str) -> dict[str, str]:
    """Raises Refused."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Refused(
            f"PARAMETERS cannot be read: {error}. A YAML file needs no quoting: PARAMETERS=prod.yaml."
        ) from error
    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise Refused(f"{word} is neither a YAML file nor a pair as DatabaseHost=db.example.com.")
        found[name] = value
    return found


def _text(value: Any, text: Any) -> str:
    """CloudFormation's parameters are texts: a list is one with commas, what is nested is JSON."""
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return ",".join(text)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(text)


def configured(samconfig: str, environment: str) -> dict[str, str]:
    """What samconfig.toml says of an environment, which a command line's parameters would displace. Raises Refused."""
    known: dict[str, Any] = tomllib.loads(samconfig)
    name = "default" if environment == "dev" else environment
    if "deploy" not in known.get(name, {}):
        names = ", ".join("dev" if each == "default" else each for each, has in known.items() if isinstance(has, dict))
        raise Refused(f"samconfig.toml has no environment {environment}. There are: {names}.")
    return pairs(str(known[name]["deploy"]["parameters"].get("parameter_overrides", "")))


def checked(values: Mapping[str, str], known: Collection[str]) -> Mapping[str, str]:
    """Raises Refused for a name that the template does not have."""
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise Refused(f"The template has no parameter {name}." + (f" Is it {near[0]}?" if near else ""))
    return values


def written(values: Mapping[str, str]) -> str:
    """The file from which `sam deploy` reads exactly these.

    It takes quotes around a value away, and backslashes: as it reads the file, and as it reads what named the file.
    """
    # In quotes, all of them: to one YAML or another 1e3, on and 012 are something else.
    guarded = {name: _guarded(_guarded(value)) for name, value in values.items()}
    return yaml.safe_dump(guarded, default_style='"', allow_unicode=True, width=1_000_000)


def _guarded(value: str) -> str:
    guarded = re.sub(r"\\(?=[ \"'])", r"\\\\", value)
    return f'"{guarded}"' if value[:1] in ("'", '"') else guarded


def stamped(template: str, values: Mapping[str, str]) -> str:
    """The built template with the word of these values.

    Raises:
        ValueError: the template has no place for it, or several.
    """
    text, found = _WORD.subn(rf"\g<key>: {configuration_word(values)}", template)
    if found != 1:
        raise ValueError(f"CONFIGURATION stands in the template {found} times, and should once, in Globals")
    return text


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> int:
    environment = sys.argv[1]
    try:
        values = {
            **configured((ROOT / "samconfig.toml").read_text(), environment),
            "AppVersion": _git("describe", "--always", "--dirty"),
            "Commit": _git("rev-parse", "HEAD"),
            **given(os.environ.get("PARAMETERS", "")),
            "Stage": environment,
        }
        checked(values, read_template(TEMPLATE)["Parameters"])
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    TEMPLATE.write_text(stamped(TEMPLATE.read_text(), values))
    VALUES.write_text(written({**values, "BuiltAt": datetime.now(UTC).isoformat(timespec="seconds")}))
    config = "default" if environment == "dev" else environment
    command = ["sam", "deploy", "--config-env", config, "--template-file", str(TEMPLATE)]
    return subprocess.run([*command, "--parameter-overrides", f"file://{VALUES}"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

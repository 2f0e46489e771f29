"""Deploy the stacks of one environment to AWS: network, data, platform, observability, edge (scripts/stacks.py).

PARAMETERS=prod.yaml python scripts/deploy.py prod

Values come from samconfig.toml. PARAMETERS overrides them: it is a YAML file of names and values, or pairs such as
"DatabaseHost=db.example.com". The version comes from this checkout. A parameter that is set nowhere keeps the stack's
last value, as with `sam deploy`.
"""

import difflib
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from email_sender.adapters.documents.yaml_documents import read_yaml
from email_sender.errors import InvalidInput
from local.aws.configuration import configuration_fingerprint
from scripts import stacks
from scripts.deployment_checks import DeploymentRefused, check_stacks, check_values, complete, warnings
from scripts.stacks import AwsFailed, Deployed, Stack

ROOT = Path(__file__).parents[1]
VALUES = ROOT / ".aws-sam/parameters.yaml"

_CONFIGURATION_LINE = re.compile(r"^(?P<key> +CONFIGURATION): .*$", re.M)


def read_parameters(text: str) -> dict[str, str]:
    """Return the parameters of a YAML file (`text` is its path), or of shell-quoted pairs. Raises DeploymentRefused."""
    if not text.strip().endswith((".yaml", ".yml")):
        return parse_pairs(text)
    path = Path(text.strip())
    try:
        source = path.read_text()
        document = read_yaml(source)
    except OSError as error:
        raise DeploymentRefused(f"{path} cannot be read: {error.strerror}.") from error
    except (InvalidInput, UnicodeDecodeError) as error:
        raise DeploymentRefused(f"{path} {error}") from error
    if not isinstance(document, dict):
        raise DeploymentRefused(
            f"{path} must have a parameter's name and its value on each line: `DatabaseHost: db.example.com`."
        )
    # Read as text, too: an account number keeps its leading zeros.
    texts = yaml.load(source, Loader=yaml.BaseLoader)  # noqa: S506 - constructs only strings
    return {
        name: _parameter_text(value, text) for (name, text), value in zip(texts.items(), document.values(), strict=True)
    }


def parse_pairs(text: str) -> dict[str, str]:
    """Parse shell-quoted pairs such as `A=1 B="x y"`. Raises DeploymentRefused."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise DeploymentRefused(
            f"PARAMETERS cannot be read: {error}. A YAML file needs no quoting: PARAMETERS=prod.yaml."
        ) from error
    parameters = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise DeploymentRefused(f"{word} is neither a YAML file nor a pair such as DatabaseHost=db.example.com.")
        parameters[name] = value
    return parameters


def _parameter_text(value: Any, text: Any) -> str:
    """Return a parameter as CloudFormation's text: a flat list is comma-separated, nested values are JSON."""
    if isinstance(value, list) and not any(isinstance(element, dict | list) for element in value):
        return ",".join(text)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(text)


def read_samconfig(samconfig: str, environment: str) -> dict[str, str]:
    """Return the parameters of an environment in samconfig.toml.

    `sam deploy` would ignore them, because parameters on its command line replace all of them.

    Raises:
        DeploymentRefused: samconfig.toml has no such environment.
    """
    config: dict[str, Any] = tomllib.loads(samconfig)
    name = "default" if environment == "dev" else environment
    if "deploy" not in config.get(name, {}):
        names = ", ".join(
            "dev" if key == "default" else key for key, section in config.items() if isinstance(section, dict)
        )
        raise DeploymentRefused(f"samconfig.toml has no environment {environment}. There are: {names}.")
    return parse_pairs(str(config[name]["deploy"]["parameters"].get("parameter_overrides", "")))


def read_region(samconfig: str, environment: str) -> str:
    """Return the region of an environment. Raises DeploymentRefused for an unknown environment."""
    read_samconfig(samconfig, environment)
    config: dict[str, Any] = tomllib.loads(samconfig)
    return str(config["default" if environment == "dev" else environment]["global"]["parameters"]["region"])


def check_names(values: Mapping[str, str], template_parameters: Collection[str]) -> Mapping[str, str]:
    """Return `values`. Raises DeploymentRefused for a name that is not a parameter of the template."""
    for name in values:
        if name not in template_parameters:
            suggestions = difflib.get_close_matches(name, template_parameters, 1)
            raise DeploymentRefused(
                f"The template has no parameter {name}." + (f" Is it {suggestions[0]}?" if suggestions else "")
            )
    return values


def parameters_yaml(values: Mapping[str, str]) -> str:
    """Return the YAML file from which `sam deploy` reads exactly these values.

    SAM removes quotes and backslashes twice: once when it reads the file, and once more for the `file://` argument.
    """
    # All values are quoted, because YAML parsers read 1e3, on and 012 differently.
    quoted = {name: _quote(_quote(value)) for name, value in values.items()}
    return yaml.safe_dump(quoted, default_style='"', allow_unicode=True, width=1_000_000)


def _quote(value: str) -> str:
    escaped = re.sub(r"\\(?=[ \"'])", r"\\\\", value)
    return f'"{escaped}"' if value[:1] in ("'", '"') else escaped


def stamp_configuration(template: str, values: Mapping[str, str]) -> str:
    """Return the built template with the fingerprint of these values as CONFIGURATION.

    Raises:
        ValueError: the template does not set CONFIGURATION exactly once.
    """
    text, count = _CONFIGURATION_LINE.subn(rf"\g<key>: {configuration_fingerprint(values)}", template)
    if count != 1:
        raise ValueError(f"The template sets CONFIGURATION {count} times. It must set it once, in Globals.")
    return text


def _git(*words: str) -> str:
    completed = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return completed.stdout.strip() or "unknown"


def deploy_stacks(environment: str, values: Mapping[str, str], region: str) -> int:
    """Deploy the stacks that are needed, in their order. Return the exit status of the first `sam` that fails, or 0."""
    known = dict(values)
    for stack in stacks.STACKS:
        if not stack.is_needed(known):
            continue
        name, stack_region = stacks.stack_name(environment, stack), stack.region or region
        print(f"Deploying the stack {name} in {stack_region} …", flush=True)
        parameters = stack.parameters(known)
        if stack.name == "platform":
            stack.template.write_text(stamp_configuration(stack.template.read_text(), parameters))
            parameters["BuiltAt"] = datetime.now(UTC).isoformat(timespec="seconds")
        status = _run_sam(environment, stack, name, stack_region, parameters)
        if status:
            return status
        if stack.name == "platform":
            _delete_old_versions(name, stack_region)
        # A value that was given wins over an output of the same name.
        known = {**stacks.read_outputs(name, stack_region), **known}
    return 0


def _delete_old_versions(stack: str, region: str) -> None:
    # The deployment has succeeded: a failure here is reported, and the next deployment tries again.
    subprocess.run([sys.executable, "-m", "scripts.prune_versions", stack, region], cwd=ROOT, check=False)


def _run_sam(environment: str, stack: Stack, name: str, region: str, parameters: Mapping[str, str]) -> int:
    VALUES.write_text(parameters_yaml(parameters))
    config = "default" if environment == "dev" else environment
    command = ["sam", "deploy", "--config-env", config, "--template-file", str(stack.template)]
    command += ["--stack-name", name, "--region", region, "--no-fail-on-empty-changeset"]
    return subprocess.run([*command, "--parameter-overrides", f"file://{VALUES}"], cwd=ROOT, check=False).returncode


def with_origin_key(values: Mapping[str, str], edge: Deployed | None) -> dict[str, str]:
    """Return the values with a new key for CloudFront, and the hashes of it and of the key that CloudFront has now.

    A CloudFront that sends no key yet gets one first: the next deployment demands it. Without a domain, none is
    demanded.
    """
    if not values.get("DomainName"):
        return {**values, "OriginKeyHashes": ""}
    key = secrets.token_urlsafe(32)
    new = sha256(key.encode()).hexdigest()
    accepted = {**values, "OriginKey": key, "OriginKeyHash": new, "OriginKeyHashes": new}
    if edge is None:
        return accepted
    current = edge.outputs.get("OriginKeyHash", "")
    if not current:
        print("CloudFront gets its key now. The next deployment lets the API accept requests through CloudFront only.")
        return {**accepted, "OriginKeyHashes": ""}
    return {**accepted, "OriginKeyHashes": f"{new},{current}"}


def main() -> int:
    environment = sys.argv[1]
    try:
        samconfig = (ROOT / "samconfig.toml").read_text()
        values = {
            **read_samconfig(samconfig, environment),
            "AppVersion": _git("describe", "--always", "--dirty"),
            "Commit": _git("rev-parse", "HEAD"),
            **read_parameters(os.environ.get("PARAMETERS", "")),
            "Stage": environment,
        }
        check_names(values, stacks.known_parameters())
        values, region = complete(values), read_region(samconfig, environment)
        existing = {
            stack.name: stacks.read_stack(stacks.stack_name(environment, stack), stack.region or region)
            for stack in stacks.STACKS
        }
        check_values(values, is_update=existing["platform"] is not None)
        check_stacks(existing, values, environment, region)
        if "OriginKeyHashes" not in values:
            values = with_origin_key(values, existing["edge"])
        for warning in warnings(values):
            print(warning, file=sys.stderr)
        return deploy_stacks(environment, values, region)
    except (DeploymentRefused, AwsFailed) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

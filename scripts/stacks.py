"""The stacks of a deployment in their order, and the values that flow from one to the next."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.aws.intrinsics import read_template

ROOT = Path(__file__).parents[1]
# CloudFront reads certificates and web ACLs from this region only.
EDGE_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Stack:
    """`needed_unless` names the values that replace the stack; `needed_if` the values without which it is left out."""

    name: str
    template: Path
    needed_unless: Sequence[str] = ()
    needed_if: Sequence[str] = ()
    region: str | None = None

    def is_needed(self, values: Mapping[str, str]) -> bool:
        is_replaced = bool(self.needed_unless) and all(values.get(name) for name in self.needed_unless)
        return not is_replaced and all(values.get(name) for name in self.needed_if)

    def parameters(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values that the stack's template declares."""
        declared = read_template(self.template)["Parameters"]
        return {name: value for name, value in values.items() if name in declared}


# Deployed one after the other. The outputs of a stack are parameters of the following ones, if they have the same name.
STACKS = (
    Stack("network", ROOT / "stacks/network.yaml", needed_unless=("SubnetIds",)),
    Stack("data", ROOT / "stacks/data.yaml", needed_unless=("DatabaseHost", "QdrantHost")),
    Stack("platform", ROOT / ".aws-sam/build/template.yaml"),
    Stack("observability", ROOT / "stacks/observability.yaml"),
    Stack("edge", ROOT / "stacks/edge.yaml", needed_if=("DomainName",), region=EDGE_REGION),
)


def stack_name(environment: str, stack: Stack) -> str:
    """The platform has the name without a suffix: its functions and roles are recognised by it."""
    return f"email-sender-{environment}" + ("" if stack.name == "platform" else f"-{stack.name}")


class AwsFailed(RuntimeError):
    """The AWS CLI is missing or failed. The message has its reason."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack as it exists."""

    status: str
    outputs: Mapping[str, str]

    @property
    def is_stuck(self) -> bool:
        """Whether CloudFormation only accepts that the stack is deleted: its creation failed."""
        return self.status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


def read_stack(name: str, region: str) -> Deployed | None:
    """Return the deployed stack, or None if there is none.

    Raises:
        AwsFailed: the stack could not be read.
    """
    command = ["aws", "cloudformation", "describe-stacks", "--stack-name", name, "--region", region]
    command += ["--query", "Stacks[0].{status: StackStatus, outputs: Outputs}", "--output", "json"]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise AwsFailed("The AWS CLI is not installed (https://aws.amazon.com/cli).") from None
    if completed.returncode:
        if "does not exist" in completed.stderr:
            return None
        raise AwsFailed(f"The stack {name} in {region} could not be read: {completed.stderr.strip()}")
    document = json.loads(completed.stdout)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in document["outputs"] or []}
    return Deployed(document["status"], outputs)


def read_outputs(name: str, region: str) -> Mapping[str, str]:
    """Return the outputs of a deployed stack.

    Raises:
        AwsFailed: the stack could not be read, or does not exist.
    """
    stack = read_stack(name, region)
    if stack is None:
        raise AwsFailed(f"There is no stack {name} in {region}. Deploy it first.")
    return stack.outputs


def template_of(stack: Stack) -> dict[str, Any]:
    """Return the stack's template from the sources: nothing has to be built."""
    return read_template(ROOT / "template.yaml" if stack.name == "platform" else stack.template)


def known_parameters() -> set[str]:
    return {name for stack in STACKS for name in template_of(stack)["Parameters"]}

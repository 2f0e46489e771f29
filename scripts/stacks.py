"""The stacks of a deployment in their order, and the values that flow from one to the next."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    Stack("edge", ROOT / "stacks/edge.yaml", needed_if=("DomainName",), region=EDGE_REGION),
)


def stack_name(environment: str, stack: Stack) -> str:
    """The platform has the name without a suffix: its functions and roles are recognised by it."""
    return f"email-sender-{environment}" + ("" if stack.name == "platform" else f"-{stack.name}")


def read_outputs(name: str, region: str) -> dict[str, str]:
    """Return the outputs of a deployed stack.

    Raises:
        subprocess.CalledProcessError: the AWS CLI failed. Its message is on standard error.
    """
    command = ["aws", "cloudformation", "describe-stacks", "--stack-name", name, "--region", region]
    command += ["--query", "Stacks[0].Outputs", "--output", "json"]
    completed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {output["OutputKey"]: output["OutputValue"] for output in json.loads(completed.stdout) or []}


def known_parameters() -> set[str]:
    """Return the names of all parameters, from the sources: nothing has to be built."""
    templates = [ROOT / "template.yaml" if stack.name == "platform" else stack.template for stack in STACKS]
    return {name for template in templates for name in read_template(template)["Parameters"]}

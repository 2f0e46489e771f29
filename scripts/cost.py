"""Print what an environment costs at rest and for 1,000 answered mails: `make cost ENV=prod [PARAMETERS=prod.yaml]`.

The resources come from the stacks with the environment's values, the prices from prices.yaml. Traffic to the internet,
stored mail and the models are not included.
"""

import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from local.aws.evaluation import Json, evaluate
from local.aws.intrinsics import read_template
from scripts.deploy import check_names, read_parameters, read_samconfig
from scripts.deployment_checks import DeploymentRefused
from scripts.prune_versions import KEPT_VERSIONS
from scripts.stacks import ROOT, STACKS, known_parameters

# Of each account.
_FREE_DASHBOARDS = 3
HOURS, SECONDS = 730, 730 * 3600
# A queue that is read by Lambda: five pollers that each wait 20 seconds (AWS's documentation of event source mappings).
POLLS_A_MONTH = 5 * SECONDS // 20
# Values of required parameters that do not change what costs money.
_PLACEHOLDERS = {
    "VpcId": "vpc", "SecurityGroupIds": "sg", "PublicUrl": "https://mail.example.com", "DatabaseHost": "db",
    "QdrantHost": "qdrant", "QdrantHealthUrl": "http://qdrant", "ApiUrl": "https://api.example.com",
    "AlarmTopic": "topic", "NoticeTopic": "topic",
}  # fmt: skip

# What one answered mail causes: its recipient is found, the draft is approved, the mail is sent, the reply is received,
# matched and stored. An estimate from the steps of examples/workflows/outreach.yaml and the functions behind them.
ANSWERED_MAIL = {
    "lambda_request": 30, "lambda_gigabyte_second": 30 * 0.25, "http_request": 6, "state_transition": 20, "event": 10,
    "queue_request": 40, "mail_sent": 1, "mail_received": 1, "log_gigabyte": 40e-6, "nat_gigabyte": 100e-6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """A part of the cost, in dollars a month. `count` is how many units there are."""

    name: str
    count: float
    dollars: float


class Prices:
    def __init__(self, document: Json) -> None:
        self._document = document
        self.date = str(document["date"])

    def monthly(self, name: str) -> float:
        if name in self._document["hour"]:
            return float(self._document["hour"][name]["price"]) * HOURS
        return float(self._document["month"][name]["price"])

    def unit(self, name: str) -> float:
        if name not in self._document["use"]:
            raise DeploymentRefused(f"scripts/prices.yaml has no price of {name}. Add it with its source.")
        return float(self._document["use"][name]["price"])

    def knows(self, name: str) -> bool:
        return any(name in self._document[kind] for kind in ("hour", "month"))


def read_prices() -> Prices:
    return Prices(yaml.safe_load(Path(__file__).with_name("prices.yaml").read_text()))


def resources_of(environment: str, values: Mapping[str, str]) -> list[Json]:
    """Return the resources of every stack that the environment needs, evaluated."""
    found: list[Json] = []
    for stack in STACKS:
        if stack.is_needed(values):
            template = read_template(ROOT / "template.yaml" if stack.name == "platform" else stack.template)
            given = {**_PLACEHOLDERS, "SubnetIds": "a,b,c", **values}
            if stack.name == "data":
                # Here a placeholder would mean that the database exists already.
                given |= {name: values.get(name, "") for name in ("DatabaseHost", "QdrantHost")}
            parameters = {name: value for name, value in given.items() if name in template["Parameters"]}
            for name, parameter in template["Parameters"].items():
                if "SSM" in parameter["Type"]:
                    parameters[name] = "ami"
            found += evaluate(template, parameters, f"email-sender-{environment}").values()
    return found


def cost_at_rest(resources: list[Json], prices: Prices) -> list[Item]:
    """Return the monthly cost of resources that nobody uses, the dearest first."""
    counts: dict[str, float] = defaultdict(float)
    for resource in resources:
        for name, count in _units(resource):
            counts[name] += count
    counts["dashboard"] = max(0, counts["dashboard"] - _FREE_DASHBOARDS)
    items = [Item(name, count, count * prices.monthly(name)) for name, count in counts.items() if prices.knows(name)]
    items += [Item(name, count, count * prices.unit(name)) for name, count in counts.items() if not prices.knows(name)]
    return sorted((item for item in items if item.count), key=lambda item: -item.dollars)


def _units(resource: Json) -> Iterator[tuple[str, float]]:
    """Yield what a resource is charged for, even if nobody uses it."""
    properties: Any = resource.get("Properties", {})
    match resource["Type"]:
        case "AWS::EC2::NatGateway":
            yield "nat_gateway", 1
        case "AWS::RDS::DBInstance":
            copies = 2 if properties.get("MultiAZ") is True else 1
            yield properties["DBInstanceClass"], copies
            yield "rds_gigabyte", copies * float(properties.get("AllocatedStorage", 20))
        case "AWS::RDS::DBProxy":
            yield "rds_proxy_vcpu", 2
        case "AWS::EC2::LaunchTemplate":
            yield properties["LaunchTemplateData"]["InstanceType"], 1
            yield "ebs_gigabyte", 8
        case "AWS::EC2::Volume":
            yield "ebs_gigabyte", float(properties["Size"])
        case "AWS::KMS::Key":
            yield "kms_key", 1
        case "AWS::SecretsManager::Secret":
            yield "secret", 1
        case "AWS::Route53::HostedZone":
            yield "hosted_zone", 1
        case "AWS::CloudWatch::Alarm":
            yield "alarm", max(1, sum("MetricStat" in metric for metric in properties.get("Metrics", [])))
        case "AWS::CloudWatch::CompositeAlarm":
            yield "composite_alarm", 1
        case "AWS::CloudWatch::Dashboard":
            yield "dashboard", 1
        case "AWS::WAFv2::WebACL":
            yield "web_acl", 1
            yield "web_acl_rule", len(properties["Rules"])
        case "AWS::Serverless::Function":
            yield from _function_units(properties)


def _function_units(properties: Any) -> Iterator[tuple[str, float]]:
    memory = float(properties.get("MemorySize", 1024)) / 1024
    if properties.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions":
        yield "snapshot_gigabyte", memory * KEPT_VERSIONS
    for event in properties.get("Events", {}).values():
        if event["Type"] == "SQS":
            yield "queue_request", POLLS_A_MONTH
        if event["Type"] == "ScheduleV2" and "minute" in event["Properties"]["ScheduleExpression"]:
            calls = SECONDS / 60
            yield "schedule", calls
            yield "lambda_request", calls
            yield "lambda_gigabyte_second", calls * memory * 0.2


def cost_of_answered_mails(number: int, prices: Prices) -> list[Item]:
    items = [Item(name, count * number, count * number * prices.unit(name)) for name, count in ANSWERED_MAIL.items()]
    return sorted(items, key=lambda item: -item.dollars)


def read_values(environment: str) -> dict[str, str]:
    values = {
        **read_samconfig((ROOT / "samconfig.toml").read_text(), environment),
        **read_parameters(os.environ.get("PARAMETERS", "")),
        "Stage": environment,
    }
    check_names(values, known_parameters())
    return values


def _print(console: Console, title: str, items: list[Item]) -> None:
    table = Table("what", "units", "dollars", title=title, title_justify="left", box=None, header_style="bold")
    for item in items:
        table.add_row(item.name.replace("_", " "), f"{item.count:,.4g}", f"{item.dollars:,.2f}")
    table.add_row("[bold]all", "", f"[bold]{math.fsum(item.dollars for item in items):,.2f}")
    console.print(table, "")


def main() -> int:
    environment, console = sys.argv[1], Console()
    prices = read_prices()
    try:
        at_rest = cost_at_rest(resources_of(environment, read_values(environment)), prices)
    except DeploymentRefused as error:
        print(error, file=sys.stderr)
        return 2
    _print(console, f"{environment} at rest, a month", at_rest)
    _print(console, "1,000 answered mails", cost_of_answered_mails(1_000, prices))
    console.print(
        f"[dim]List prices of us-east-1 on {prices.date} (scripts/prices.yaml); others are up to 10 % dearer. Not "
        "included: the free tier, traffic, models."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

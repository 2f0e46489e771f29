"""The deployed template of a stage, and what its functions may do."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from local.aws.evaluation import ACCOUNT, REGION, Json, evaluate
from local.aws.intrinsics import read_template
from local.aws.transform import _translate
from local.layout import ROOT

# What a deployment with secrets, a network and a second account passes. Every condition of the template is covered by
# these values or by those of `PLAIN`.
PARAMETERS = {
    "PublicUrl": "https://mail.example.com",
    "DatabaseHost": "db.example.com",
    "DatabaseAppSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-AbCdEf",
    "DatabasePlatformSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:platform-AbCdEf",
    "DatabaseBackupSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:backup-AbCdEf",
    "DatabaseGatewaySecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:gateway-AbCdEf",
    "DatabaseOwnerSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:owner-AbCdEf",
    "QdrantHost": "qdrant.example.com",
    "QdrantSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:qdrant-AbCdEf",
    "QdrantHealthUrl": "https://qdrant.example.com/healthz",
    "EmbeddingSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:embedding-AbCdEf",
    "TextModelSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:text-AbCdEf",
    "EventAccounts": "444455556666",
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-1",
}
PLAIN = {name: PARAMETERS[name] for name in ("PublicUrl", "DatabaseHost", "QdrantHost", "QdrantHealthUrl")}


@cache
def translated_template(stage: str = "dev") -> Json:
    """Return the CloudFormation template that SAM makes of template.yaml, before its parameters have values."""
    template = read_template(ROOT / "template.yaml")
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for key in ("CodeUri", "ContentUri", "DefinitionUri"):
            if key in properties:
                properties[key] = f"s3://artefacts/{name}"
    return _translate(template, {"Stage": stage, **PLAIN}, REGION)


def deployed(stage: str = "dev", parameters: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Return the resources of a stage's stack by logical id, evaluated."""
    values = PARAMETERS if parameters is None else parameters
    return evaluate(translated_template(stage), {"Stage": stage, **values}, f"email-sender-{stage}")


def statements_of(function: str, resources: Mapping[str, Json]) -> list[Json]:
    """Return the statements of a function's role. `resources` are evaluated."""
    role = resources[f"{function}Role"]["Properties"]
    return [
        statement for policy in role.get("Policies", []) for statement in as_list(policy["PolicyDocument"]["Statement"])
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def functions_of(resources: Mapping[str, Json]) -> list[str]:
    return [name for name, resource in resources.items() if resource["Type"] == "AWS::Lambda::Function"]


def compact(document: Any) -> str:
    """Return JSON as AWS counts it: without white space."""
    return json.dumps(document, separators=(",", ":"))

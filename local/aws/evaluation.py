"""Evaluate a CloudFormation template as AWS would: parameters, conditions and references become values. No I/O."""

import re
from collections.abc import Mapping
from typing import Any

type Json = dict[str, Any]

ACCOUNT, REGION = "111122223333", "eu-west-1"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}
# The value of a missing property (AWS::NoValue), which disappears together with its key.
_NOTHING = object()


def evaluate(template: Json, parameters: Mapping[str, str], stack: str) -> dict[str, Json]:
    """Return the resources that the stack would have. A resource whose condition is false is left out."""
    evaluation = _Evaluation(template, parameters, stack)
    return {
        name: evaluation.value(resource)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or evaluation.condition(resource["Condition"])
    }


class _Evaluation:
    def __init__(self, template: Json, parameters: Mapping[str, str], stack: str) -> None:
        self._template, self._stack = template, stack
        declared = template.get("Parameters", {})
        defaults = {name: parameter["Default"] for name, parameter in declared.items() if "Default" in parameter}
        if missing := set(declared) - set(defaults) - set(parameters):
            raise ValueError(f"The template needs values of {sorted(missing)}.")
        self._parameters = {**defaults, **parameters}

    def condition(self, name: str) -> bool:
        return bool(self.value(self._template["Conditions"][name]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for element in node if (value := self.value(element)) is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                return self._intrinsic(name, argument)
        values = {key: self.value(value) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not _NOTHING}

    def _intrinsic(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._ref(argument)
            case "Condition":
                return self.condition(argument) if isinstance(argument, str) else self.value(argument)
            case "Fn::GetAtt":
                parts = argument.split(".", 1) if isinstance(argument, str) else argument
                return self._attribute(parts[0], parts[1])
            case "Fn::Sub":
                text, values = (argument, {}) if isinstance(argument, str) else argument
                return re.sub(r"\$\{(!?)([^}]+)\}", lambda match: self._substitute(match, values), text)
            case "Fn::If":
                return self.value(argument[1] if self.condition(argument[0]) else argument[2])
            case "Fn::Equals":
                return self.value(argument[0]) == self.value(argument[1])
            case "Fn::Not":
                return not self.value(argument[0])
            case "Fn::And":
                return all(self.value(one) for one in argument)
            case "Fn::Or":
                return any(self.value(one) for one in argument)
            case "Fn::Join":
                return argument[0].join(map(str, self.value(argument[1])))
            case "Fn::Select":
                return self.value(argument[1])[int(argument[0])]
            case "Fn::Split":
                return self.value(argument[1]).split(argument[0])
            case "Fn::GetAZs":
                return [f"{REGION}a", f"{REGION}b", f"{REGION}c"]
            case "Fn::Cidr":
                return [f"10.0.{number}.0/24" for number in range(int(argument[1]))]
            case "Fn::Base64":
                return str(self.value(argument))
            case _:
                raise ValueError(f"{name} cannot be evaluated here.")

    def _substitute(self, match: re.Match[str], values: Json) -> str:
        if match[1]:
            return f"${{{match[2]}}}"
        if match[2] in values:
            return str(self.value(values[match[2]]))
        resource, _, attribute = match[2].partition(".")
        return str(self._attribute(resource, attribute) if attribute else self._ref(match[2]))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name == "AWS::StackName":
            return self._stack
        if name == "AWS::StackId":
            return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self._stack}/1"
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self._parameters:
            value = self._parameters[name]
            is_list = self._template["Parameters"][name]["Type"].startswith(("CommaDelimitedList", "List<"))
            return str(value).split(",") if is_list and value != "" else [] if is_list else value
        resource, _, attribute = name.partition(".")
        if attribute:  # SAM's reference to a resource that it makes, such as a function's alias
            return f"{resource}.{attribute}"
        kind = self._template["Resources"][name]["Type"]
        if kind in _REFERENCED_BY_ARN:
            return self._attribute(name, "Arn")
        if kind == "AWS::Lambda::Alias":
            return self._attribute(name.partition("Alias")[0], "Arn") + ":live"
        return self.physical_name(name)

    def physical_name(self, name: str) -> str:
        """Return the resource's own name, or one that CloudFormation makes of the stack's and the logical name."""
        properties: Json = self._template["Resources"][name].get("Properties", {})
        own = next((properties[key] for key in NAME_PROPERTIES if key in properties), None)
        return str(self.value(own)) if own is not None else f"{self._stack}-{name}-1ABCDEFGHIJKL"

    def _attribute(self, name: str, attribute: str) -> str:
        kind = self._template["Resources"][name]["Type"]
        if not attribute.endswith("Arn"):
            return f"{name}.{attribute}"
        physical = self.physical_name(name)
        form = _ARNS.get(kind, kind.lower().replace("::", ":") + ":{region}:{account}:{name}")
        return "arn:aws:" + str(form).format(region=REGION, account=ACCOUNT, name=physical)


NAME_PROPERTIES = (
    "FunctionName", "Name", "QueueName", "BucketName", "StateMachineName", "LogGroupName", "TableName", "TopicName",
    "RoleName", "UserPoolName", "ArchiveName", "ManagedPolicyName", "LayerName", "ParameterGroupName", "AlarmName",
    "DBInstanceIdentifier", "DBProxyName", "DBSubnetGroupName", "GroupName", "PolicyName",
)  # fmt: skip
# Ref returns the ARN of these types, and a name of the others.
_REFERENCED_BY_ARN = {
    "AWS::StepFunctions::StateMachine",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
    "AWS::IAM::ManagedPolicy",
}
_ARNS = {
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::Cognito::UserPool": "cognito-idp:{region}:{account}:userpool/{name}",
}

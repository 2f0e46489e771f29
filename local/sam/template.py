"""Prepare the built template for `sam local`, with the variables and layers of the deployed functions.

`sam local` resolves only a few intrinsics, and --env-vars can set only variables that the template names. So each
function gets its deployed variables and layers as literal values; SAM downloads the layers from the local cloud as it
would from AWS. Code paths point to the build; handlers, events and the rest are unchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ports import HOST

# The wrapping key is a file of the local cloud. Containers get it as a layer.
KEY_FILE = "wrapping.key"


@dataclass(frozen=True, slots=True)
class FunctionConfiguration:
    """The environment variables of a deployed function and the ARNs of its layer versions."""

    variables: Mapping[str, str]
    layers: Sequence[str]


def local_template(
    built: Mapping[str, Any], deployed: Callable[[str], FunctionConfiguration], build: Path
) -> dict[str, Any]:
    """Return the template `built`, whose code is below `build`, with the configuration `deployed(logical id)`."""
    resources = {
        logical_id: _function(resource, deployed(logical_id), build)
        if resource["Type"] == "AWS::Serverless::Function"
        else resource
        for logical_id, resource in built["Resources"].items()
        if resource["Type"] != "AWS::Serverless::LayerVersion"
    }
    globals_section = built["Globals"]
    function = {
        key: value for key, value in globals_section["Function"].items() if key not in ("Environment", "Layers")
    }
    return {**built, "Globals": {**globals_section, "Function": function}, "Resources": resources}


def for_container(
    deployed: FunctionConfiguration, address: str, endpoint: str, key_layer: str
) -> FunctionConfiguration:
    """Return the configuration with `address` instead of 127.0.0.1, the AWS endpoint, and the wrapping key's layer."""
    all_variables = {**deployed.variables, "AWS_ENDPOINT_URL": endpoint}
    variables = {name: value.replace(HOST, address) for name, value in all_variables.items()}
    if not variables.get("KEY_WRAPPER", "").startswith("file:"):
        return FunctionConfiguration(variables, deployed.layers)
    return FunctionConfiguration({**variables, "KEY_WRAPPER": f"file:/opt/{KEY_FILE}"}, [*deployed.layers, key_layer])


def _function(resource: Mapping[str, Any], deployed: FunctionConfiguration, build: Path) -> dict[str, Any]:
    properties = {
        **resource["Properties"],
        "CodeUri": str(build / resource["Properties"]["CodeUri"]),
        "Environment": {"Variables": dict(deployed.variables)},
        "Layers": list(deployed.layers),
    }
    return {**resource, "Properties": properties}

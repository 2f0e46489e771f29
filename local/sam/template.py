"""The built template for `sam local`: as it is deployed, with what the local cloud's functions were given.

`sam local` resolves few intrinsics, and lets --env-vars set only what a template names. So each function's variables
and layers are written out as they were deployed; SAM gets the layers from the local cloud, as it gets them from AWS.
Code is the built one; handlers, events and the rest stay as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ports import HOST

# What of the local cloud is a file, and has to be in the container: it comes as a layer.
KEY_FILE = "wrapping.key"


@dataclass(frozen=True, slots=True)
class Deployed:
    """Of a deployed function: its variables, and the ARNs of its layers' versions."""

    variables: Mapping[str, str]
    layers: Sequence[str]


def local_template(built: Mapping[str, Any], deployed: Callable[[str], Deployed], build: Path) -> dict[str, Any]:
    """`built`, whose code lies below `build`, with each function as `deployed(logical id)` says."""
    resources = {
        logical_id: _function(resource, deployed(logical_id), build)
        if resource["Type"] == "AWS::Serverless::Function"
        else resource
        for logical_id, resource in built["Resources"].items()
        if resource["Type"] != "AWS::Serverless::LayerVersion"
    }
    given = built["Globals"]
    function = {key: value for key, value in given["Function"].items() if key not in ("Environment", "Layers")}
    return {**built, "Globals": {**given, "Function": function}, "Resources": resources}


def in_a_container(deployed: Deployed, address: str, endpoint: str, key_layer: str) -> Deployed:
    """The same with `address` for this machine, and AWS's endpoint, which the local cloud sets beside the variables."""
    given = {**deployed.variables, "AWS_ENDPOINT_URL": endpoint}
    variables = {name: value.replace(HOST, address) for name, value in given.items()}
    if not variables.get("KEY_WRAPPER", "").startswith("file:"):
        return Deployed(variables, deployed.layers)
    return Deployed({**variables, "KEY_WRAPPER": f"file:/opt/{KEY_FILE}"}, [*deployed.layers, key_layer])


def _function(resource: Mapping[str, Any], deployed: Deployed, build: Path) -> dict[str, Any]:
    properties = {
        **resource["Properties"],
        "CodeUri": str(build / resource["Properties"]["CodeUri"]),
        "Environment": {"Variables": dict(deployed.variables)},
        "Layers": list(deployed.layers),
    }
    return {**resource, "Properties": properties}

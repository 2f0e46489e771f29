"""Turn the OpenAPI body of an HTTP API into separate route, integration and authorizer resources.

SAM writes an HttpApi as one AWS::ApiGatewayV2::Api with a Body. MiniStack supports routes only as separate resources.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from local.aws.intrinsics import NO_VALUE

Resources = dict[str, dict[str, Any]]

_CORS_KEYS = (
    "AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "MaxAge", "AllowCredentials",
)  # fmt: skip
_ANY = "x-amazon-apigateway-any-method"


class UnsupportedApi(ValueError):
    """The API's body has something for which MiniStack has no resource. The message names the route."""


def explode(api_id: str, resource: dict[str, Any]) -> tuple[Resources, list[str]]:
    """Return the resources that replace an AWS::ApiGatewayV2::Api with a Body, and lines that describe the difference.

    Raises:
        UnsupportedApi: with the path in the message.
    """
    properties = resource["Properties"]
    body = properties["Body"]
    attributes = {key: value for key, value in resource.items() if key not in ("Properties", "Metadata")}
    condition = {key: resource[key] for key in ("Condition",) if key in resource}

    replacements: Resources = {}
    authorizers = {}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        if "x-amazon-apigateway-authorizer" in scheme:
            authorizers[name] = _id(api_id, "Authorizer", name)
            replacements[authorizers[name]] = (
                _authorizer(api_id, name, scheme["x-amazon-apigateway-authorizer"]) | condition
            )

    routes = 0
    for path, method, operation, operation_condition in _operations(body.get("paths", {})):
        key = "$default" if path == "/$default" else f"{method} {path}"
        if "x-amazon-apigateway-integration" not in operation:
            continue
        condition_attribute = {"Condition": operation_condition} if operation_condition else condition
        # Routes to one function share an integration, because a stack can have only 500 resources.
        integration = _integration(api_id, key, operation["x-amazon-apigateway-integration"]) | condition_attribute
        integration_id = _id(api_id, "Integration", json.dumps(integration, sort_keys=True))
        replacements[integration_id] = integration
        route = {"ApiId": {"Ref": api_id}, "RouteKey": key}
        route["Target"] = {"Fn::Join": ["/", ["integrations", {"Ref": integration_id}]]}
        security = operation.get("security", body.get("security", []))
        route |= _authorization(key, security, authorizers)
        replacements[_id(api_id, "Route", key)] = {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": route,
        } | condition_attribute
        routes += 1

    api_properties = {
        key: value for key, value in properties.items() if key not in ("Body", "FailOnWarnings", "BasePath")
    }
    api_properties.setdefault("Name", body.get("info", {}).get("title", api_id))
    api_properties["ProtocolType"] = "HTTP"
    cors = api_properties.get("CorsConfiguration") or body.get("x-amazon-apigateway-cors")
    if cors:
        api_properties["CorsConfiguration"] = camel_case_cors(cors)
    replacements[api_id] = attributes | {"Properties": api_properties}
    return replacements, [
        f"{api_id}: its OpenAPI body was replaced by {routes} routes and {len(authorizers)} authorizers"
    ]


def camel_case_cors(cors: dict[str, Any]) -> dict[str, Any]:
    """Return the CORS settings with the API's camel-case keys, which MiniStack expects."""
    return {key[0].lower() + key[1:]: value for key, value in cors.items() if key[0].upper() + key[1:] in _CORS_KEYS}


def _operations(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str | None]]:
    """Yield (path, method, operation, condition or None). SAM wraps the path of a conditional function in an Fn::If."""
    for path, path_item in paths.items():
        condition = None
        if set(path_item) == {"Fn::If"}:
            condition, path_item, otherwise = path_item["Fn::If"]
            if otherwise != NO_VALUE:
                raise UnsupportedApi(f"{path}: an Fn::If with two branches is not supported.")
        for method, operation in path_item.items():
            operation_condition = condition
            if set(operation) == {"Fn::If"}:
                operation_condition, operation, otherwise = operation["Fn::If"]
                if otherwise != NO_VALUE:
                    raise UnsupportedApi(f"{method} {path}: an Fn::If with two branches is not supported.")
            yield path, "ANY" if method == _ANY else method.upper(), operation, operation_condition


def _authorizer(api_id: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    source = settings.get("identitySource", "$request.header.Authorization")
    properties: dict[str, Any] = {"ApiId": {"Ref": api_id}, "Name": name}
    if settings["type"] == "jwt":
        jwt = settings["jwtConfiguration"]
        properties |= {
            "AuthorizerType": "JWT",
            "IdentitySource": [source],
            "JwtConfiguration": {"Issuer": jwt["issuer"], "Audience": jwt.get("audience", [])},
        }
    elif settings["type"] == "request":
        properties |= {
            "AuthorizerType": "REQUEST",
            "IdentitySource": [part.strip() for part in source.split(",")],
            "AuthorizerUri": settings["authorizerUri"],
            "AuthorizerPayloadFormatVersion": str(settings.get("authorizerPayloadFormatVersion", "2.0")),
            "AuthorizerResultTtlInSeconds": settings.get("authorizerResultTtlInSeconds", 0),
            "EnableSimpleResponses": settings.get("enableSimpleResponses", False),
        }
    else:
        raise UnsupportedApi(f"The authorizer {name} has the unsupported type {settings['type']}.")
    return {"Type": "AWS::ApiGatewayV2::Authorizer", "Properties": properties}


def _integration(api_id: str, key: str, settings: dict[str, Any]) -> dict[str, Any]:
    kind = settings["type"].upper()
    if kind not in ("AWS_PROXY", "HTTP_PROXY"):
        raise UnsupportedApi(f"{key}: the integration type {kind} is not supported.")
    properties = {
        "ApiId": {"Ref": api_id},
        "IntegrationType": kind,
        "IntegrationUri": settings["uri"],
        "IntegrationMethod": settings.get("httpMethod", "POST"),
        "PayloadFormatVersion": str(settings.get("payloadFormatVersion", "2.0")),
        "TimeoutInMillis": settings.get("timeoutInMillis", 30_000),
    }
    return {"Type": "AWS::ApiGatewayV2::Integration", "Properties": properties}


def _authorization(key: str, security: list[dict[str, Any]], authorizers: dict[str, str]) -> dict[str, Any]:
    for requirement in security:
        for name, scopes in requirement.items():
            if name in authorizers:
                authorization: dict[str, Any] = {"AuthorizerId": {"Ref": authorizers[name]}, "AuthorizationType": "JWT"}
                return authorization | ({"AuthorizationScopes": scopes} if scopes else {})
            if name == "AWS_IAM":
                return {"AuthorizationType": "AWS_IAM"}
            if name != "NONE":
                raise UnsupportedApi(f"{key}: the API has no authorizer {name}.")
    return {}


def _id(api_id: str, kind: str, name: str) -> str:
    """Return a logical id that is stable as long as the name is, so that a deployment updates the resource."""
    return f"{api_id}{kind}{hashlib.sha256(name.encode()).hexdigest()[:8]}"

"""The OpenAPI body of an HTTP API as explicit routes, integrations and authorizers.

SAM writes an HttpApi as one AWS::ApiGatewayV2::Api with a Body; MiniStack knows routes only as resources of their own.
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
    """The API's body says something that cannot be written as routes here."""


def explode(api_id: str, resource: dict[str, Any]) -> tuple[Resources, list[str]]:
    """The resources that replace an AWS::ApiGatewayV2::Api with a Body, and what to say about it.

    Raises:
        UnsupportedApi: it names the path.
    """
    properties = resource["Properties"]
    body = properties["Body"]
    attributes = {key: value for key, value in resource.items() if key not in ("Properties", "Metadata")}
    condition = {key: resource[key] for key in ("Condition",) if key in resource}

    made: Resources = {}
    authorizers = {}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        if "x-amazon-apigateway-authorizer" in scheme:
            authorizers[name] = _id(api_id, "Authorizer", name)
            made[authorizers[name]] = _authorizer(api_id, name, scheme["x-amazon-apigateway-authorizer"]) | condition

    routes = 0
    for path, method, operation, only_if in _operations(body.get("paths", {})):
        key = "$default" if path == "/$default" else f"{method} {path}"
        if "x-amazon-apigateway-integration" not in operation:
            continue
        when = {"Condition": only_if} if only_if else condition
        # Routes to one function share its integration: a stack has 500 resources, and AWS makes none for a route.
        integration = _integration(api_id, key, operation["x-amazon-apigateway-integration"]) | when
        integration_id = _id(api_id, "Integration", json.dumps(integration, sort_keys=True))
        made[integration_id] = integration
        route = {"ApiId": {"Ref": api_id}, "RouteKey": key}
        route["Target"] = {"Fn::Join": ["/", ["integrations", {"Ref": integration_id}]]}
        security = operation.get("security", body.get("security", []))
        route |= _authorization(key, security, authorizers)
        made[_id(api_id, "Route", key)] = {"Type": "AWS::ApiGatewayV2::Route", "Properties": route} | when
        routes += 1

    plain = {key: value for key, value in properties.items() if key not in ("Body", "FailOnWarnings", "BasePath")}
    plain.setdefault("Name", body.get("info", {}).get("title", api_id))
    plain["ProtocolType"] = "HTTP"
    cors = plain.get("CorsConfiguration") or body.get("x-amazon-apigateway-cors")
    if cors:
        plain["CorsConfiguration"] = camel_case_cors(cors)
    made[api_id] = attributes | {"Properties": plain}
    return made, [f"{api_id}: its OpenAPI body became {routes} routes and {len(authorizers)} authorizers"]


def camel_case_cors(cors: dict[str, Any]) -> dict[str, Any]:
    """CORS settings under the API's own key names, which is where MiniStack looks for them."""
    return {key[0].lower() + key[1:]: value for key, value in cors.items() if key[0].upper() + key[1:] in _CORS_KEYS}


def _operations(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str | None]]:
    """Each (path, method, operation, condition or None). SAM puts the path of a conditional function in an Fn::If."""
    for path, item in paths.items():
        condition = None
        if set(item) == {"Fn::If"}:
            condition, item, otherwise = item["Fn::If"]
            if otherwise != NO_VALUE:
                raise UnsupportedApi(f"{path}: an Fn::If with two sides")
        for method, operation in item.items():
            only_if = condition
            if set(operation) == {"Fn::If"}:
                only_if, operation, otherwise = operation["Fn::If"]
                if otherwise != NO_VALUE:
                    raise UnsupportedApi(f"{method} {path}: an Fn::If with two sides")
            yield path, "ANY" if method == _ANY else method.upper(), operation, only_if


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
        raise UnsupportedApi(f"authorizer {name}: type {settings['type']}")
    return {"Type": "AWS::ApiGatewayV2::Authorizer", "Properties": properties}


def _integration(api_id: str, key: str, settings: dict[str, Any]) -> dict[str, Any]:
    kind = settings["type"].upper()
    if kind not in ("AWS_PROXY", "HTTP_PROXY"):
        raise UnsupportedApi(f"{key}: integration type {kind}")
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
                raise UnsupportedApi(f"{key}: no authorizer is called {name}")
    return {}


def _id(api_id: str, kind: str, name: str) -> str:
    """A logical id that stays the same as long as the route does, so that an update is an update."""
    return f"{api_id}{kind}{hashlib.sha256(name.encode()).hexdigest()[:8]}"

"""Writes with an Idempotency-Key, from Lambda's event to PostgreSQL and back."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import NotFound, Unavailable
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.security.permissions import Permission
from tests.database import Cluster

CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r"
)  # fmt: skip


class Thing(BaseModel):
    name: Annotated[str, Field(min_length=1)]


@dataclass
class IdempotentRouteScenario:
    """An application with one route, which creates things and records the operation id of every call."""

    database: Database
    tenant: UUID
    created_ids: list[UUID] = field(default_factory=list)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        router = APIRouter(route_class=IdempotentRoute)

        async def create_thing(
            request: Request, body: Thing, caller: Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]
        ) -> dict[str, str]:
            self.created_ids.append(operation_id(request))
            if self.failure is not None:
                raise self.failure
            return {"id": str(operation_id(request)), "name": body.name, "by": caller.subject}

        router.add_api_route("/things", create_thing, methods=["POST"], status_code=201)
        app = create_app("shop", [router], lambda: ManagerGate(list))
        app.state.idempotency = lambda: PostgresIdempotency(self.database)
        self._handle = lambda_handler(app)

    def post(
        self, body: Any, key: str | None = "k", *, subject: str = "ann", query: str = "", tenant: UUID | None = None
    ) -> tuple[int, Any, bool]:
        """Post `body`; return the status, the response body, and whether the response is a replay."""
        claims = {
            "sub": subject,
            "tenant_id": str(tenant or self.tenant),
            "role": "user",
            "token_use": "access",
            "exp": str(int(time.time()) + 60),
        }
        http = {"method": "POST", "path": "/api/v1/things", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"}
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/api/v1/things",
            "rawQueryString": query,
            "headers": {"content-type": "application/json", **({"idempotency-key": key} if key is not None else {})},
            "requestContext": {
                "requestId": "r", "stage": "$default", "http": http, "authorizer": {"jwt": {"claims": claims}},
            },
            "body": json.dumps(body),
            "isBase64Encoded": False,
        }  # fmt: skip
        response = self._handle(event, CONTEXT)
        return response["statusCode"], json.loads(response["body"]), "idempotent-replayed" in response["headers"]


@pytest.fixture
def scenario(app_role: Database, tenant: UUID) -> IdempotentRouteScenario:
    return IdempotentRouteScenario(app_role, tenant)


def test_a_repeat_returns_the_first_response_and_creates_nothing(scenario: IdempotentRouteScenario) -> None:
    first = scenario.post({"name": "a"})
    assert (first[0], first[2]) == (201, False)
    assert scenario.post({"name": "a"}) == (first[0], first[1], True)
    assert len(scenario.created_ids) == 1


def test_requests_without_a_key_are_independent(scenario: IdempotentRouteScenario) -> None:
    ids = {scenario.post({"name": "a"}, None)[1]["id"] for _ in range(3)}
    assert len(ids) == len(scenario.created_ids) == 3


@pytest.mark.parametrize("other_request", [{"body": {"name": "b"}}, {"body": {"name": "a"}, "query": "x=1"}])
def test_a_key_belongs_to_one_request(scenario: IdempotentRouteScenario, other_request: dict[str, Any]) -> None:
    scenario.post({"name": "a"})
    status, problem, _ = scenario.post(other_request.pop("body"), **other_request)
    assert (status, "different request" in problem["detail"]) == (422, True)
    assert len(scenario.created_ids) == 1


def test_a_key_belongs_to_its_caller(scenario: IdempotentRouteScenario, new_tenant: Callable[[], UUID]) -> None:
    responses = [
        scenario.post({"name": "a"}),
        scenario.post({"name": "a"}, subject="bob"),
        scenario.post({"name": "a"}, tenant=new_tenant()),
    ]
    assert [(status, is_replay) for status, _, is_replay in responses] == [(201, False)] * 3
    assert len({body["id"] for _, body, _ in responses}) == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\x7f"])
def test_an_invalid_key_is_reported(scenario: IdempotentRouteScenario, key: str) -> None:
    status, problem, _ = scenario.post({"name": "a"}, key)
    assert (status, "1 to 255 printable" in problem["detail"]) == (422, True)
    assert scenario.created_ids == []


def test_a_refused_request_frees_its_key(scenario: IdempotentRouteScenario) -> None:
    assert scenario.post({"name": ""})[0] == 422
    scenario.failure = NotFound("Shelf not found.")
    assert scenario.post({"name": "a"})[0] == 404
    scenario.failure = None
    assert scenario.post({"name": "b"})[0] == 201


def test_an_interrupted_request_continues_as_the_same_operation(scenario: IdempotentRouteScenario) -> None:
    scenario.failure = Unavailable("The database did not answer.", 1)
    assert scenario.post({"name": "a"})[0] == 503
    assert scenario.post({"name": "b"})[0] == 422, "the work may be half done: only the same request may continue"
    scenario.failure = None
    assert scenario.post({"name": "a"})[0] == 201
    assert scenario.created_ids[0] == scenario.created_ids[1]


def test_after_a_fault_the_same_request_continues_once_the_lease_expires(
    scenario: IdempotentRouteScenario, cluster: Cluster
) -> None:
    """As after a kill: the result of the work was never recorded."""
    scenario.failure = RuntimeError("a fault")
    assert scenario.post({"name": "a"})[0] == 500
    scenario.failure = None
    assert scenario.post({"name": "a"})[0] == 409
    cluster.execute(
        "update idempotency set lease_until = now() - interval '1 second' where tenant_id = %s", scenario.tenant
    )
    status, created_thing, is_replay = scenario.post({"name": "a"})
    assert (status, is_replay) == (201, False)
    assert scenario.created_ids == [UUID(created_thing["id"])] * 2

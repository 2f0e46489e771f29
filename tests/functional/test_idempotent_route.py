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
from email_sender.coordination.gate import Gate
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
class Shop:
    """An area of one route, which makes things and counts how often it was asked to."""

    database: Database
    tenant: UUID
    made: list[UUID] = field(default_factory=list)
    fails: Exception | None = None

    def __post_init__(self) -> None:
        router = APIRouter(route_class=IdempotentRoute)

        async def make(
            request: Request, body: Thing, caller: Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]
        ) -> dict[str, str]:
            self.made.append(operation_id(request))
            if self.fails is not None:
                raise self.fails
            return {"id": str(operation_id(request)), "name": body.name, "by": caller.subject}

        router.add_api_route("/things", make, methods=["POST"], status_code=201)
        app = create_app("shop", [router], lambda: Gate(list))
        app.state.idempotency = lambda: PostgresIdempotency(self.database)
        self._handle = lambda_handler(app)

    def post(
        self, body: Any, key: str | None = "k", *, who: str = "ann", query: str = "", tenant: UUID | None = None
    ) -> tuple[int, Any, bool]:
        """Status, answer, and whether it was given before."""
        claims = {
            "sub": who,
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
        answer = self._handle(event, CONTEXT)
        return answer["statusCode"], json.loads(answer["body"]), "idempotent-replayed" in answer["headers"]


@pytest.fixture
def shop(app_role: Database, tenant: UUID) -> Shop:
    return Shop(app_role, tenant)


def test_a_repeat_gets_the_first_answer_and_makes_nothing(shop: Shop) -> None:
    first = shop.post({"name": "a"})
    assert (first[0], first[2]) == (201, False)
    assert shop.post({"name": "a"}) == (first[0], first[1], True)
    assert len(shop.made) == 1


def test_without_a_key_every_request_is_its_own(shop: Shop) -> None:
    ids = {shop.post({"name": "a"}, None)[1]["id"] for _ in range(3)}
    assert len(ids) == len(shop.made) == 3


@pytest.mark.parametrize("changed", [{"body": {"name": "b"}}, {"body": {"name": "a"}, "query": "x=1"}])
def test_a_key_is_for_one_request(shop: Shop, changed: dict[str, Any]) -> None:
    shop.post({"name": "a"})
    status, problem, _ = shop.post(changed.pop("body"), **changed)
    assert (status, "another body" in problem["detail"]) == (422, True)
    assert len(shop.made) == 1


def test_a_key_is_its_callers_own(shop: Shop, new_tenant: Callable[[], UUID]) -> None:
    answers = [
        shop.post({"name": "a"}),
        shop.post({"name": "a"}, who="bob"),
        shop.post({"name": "a"}, tenant=new_tenant()),
    ]
    assert [(status, again) for status, _, again in answers] == [(201, False)] * 3
    assert len({each["id"] for _, each, _ in answers}) == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\x7f"])
def test_a_key_that_is_none_is_told(shop: Shop, key: str) -> None:
    status, problem, _ = shop.post({"name": "a"}, key)
    assert (status, "1 to 255 printable" in problem["detail"]) == (422, True)
    assert shop.made == []


def test_what_was_refused_frees_its_key(shop: Shop) -> None:
    assert shop.post({"name": ""})[0] == 422
    shop.fails = NotFound("There is no such shelf.")
    assert shop.post({"name": "a"})[0] == 404
    shop.fails = None
    assert shop.post({"name": "b"})[0] == 201


def test_what_broke_off_is_taken_up_at_once_as_the_same_operation(shop: Shop) -> None:
    shop.fails = Unavailable("The database did not answer.", 1)
    assert shop.post({"name": "a"})[0] == 503
    assert shop.post({"name": "b"})[0] == 422, "the work may be half done: only the same request goes on"
    shop.fails = None
    assert shop.post({"name": "a"})[0] == 201
    assert shop.made[0] == shop.made[1]


def test_after_a_fault_the_same_request_goes_on_when_the_lease_has_run_out(shop: Shop, cluster: Cluster) -> None:
    """As after a kill: nobody said how the work ended."""
    shop.fails = RuntimeError("a fault")
    assert shop.post({"name": "a"})[0] == 500
    shop.fails = None
    assert shop.post({"name": "a"})[0] == 409
    cluster.do("update idempotency set lease_until = now() - interval '1 second' where tenant_id = %s", shop.tenant)
    status, made, again = shop.post({"name": "a"})
    assert (status, again) == (201, False)
    assert shop.made == [UUID(made["id"])] * 2

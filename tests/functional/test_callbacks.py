"""http.wait_for_callback: the step sends a request with a callback URL, and the first answer there ends it."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.errors import (
    Conflict,
    DomainError,
    NotSupported,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from email_sender.kit.system_clock import new_id
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.permissions import Role
from email_sender.workflows.model import Run, RunStatus
from email_sender.workflows.runs.callbacks import MAX_ANSWER_BYTES, CallbackService
from tests.database import Cluster
from tests.functional.workflow_scenario import WorkflowScenario
from workflows_lambda.actions import http_request, waiting

URL = "https://mail.example.com/api/v1/hooks/callbacks/"


@dataclass
class Server:
    """The other system: it keeps what it was sent, and does `on_request` before it responds. `failure` is raised
    instead."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    failure: DomainError | None = None
    response: tuple[int, str] = (200, "application/json")
    on_request: Callable[[], None] = lambda: None

    def send_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.failure:
            raise self.failure
        self.requests.append(dict(request))
        self.on_request()
        status, media_type = self.response
        return {"status": status, "headers": {"content-type": media_type}, "body": None}


@dataclass
class Callbacks:
    scenario: WorkflowScenario
    service: CallbackService
    server: Server = field(default_factory=Server)

    def call(self, run: Run, token: str = "token-1", tenant: UUID | None = None) -> str:
        """Run the step as the engine does, and return the callback token that the other system got."""
        arguments = {"url": "https://n8n.example.com/webhook/x", "body": {"given": [1]}, "timeout": "PT1H"}
        tenant = tenant or self.scenario.tenant
        waiting.wait_for_callback(TaskCall(tenant, run.id, "ask", -1, arguments, "ann", Role.ADMIN, token))
        return self.token

    @property
    def token(self) -> str:
        body = json.loads(base64.b64decode(self.server.requests[-1]["body"]))
        url: str = body.pop("callback_url")
        assert (url.startswith(URL), body) == (True, {"given": [1]})
        return url.removeprefix(URL)

    def error_of(self, run: Run) -> Mapping[str, str] | None:
        (record,) = self.scenario.runs.get(self.scenario.tenant, run.id).steps
        return record.error


@pytest.fixture
def callbacks(cluster: Cluster, app_role: Database, tenant: UUID, monkeypatch: pytest.MonkeyPatch) -> Callbacks:
    scenario = WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), tenant)
    without_keys = PostgresWorkflowUnits(app_role, None)
    service = CallbackService(
        without_keys, cluster.vault(app_role), scenario.waits, scenario.clock, "https://mail.example.com"
    )
    callbacks = Callbacks(scenario, service)
    monkeypatch.setattr(waiting, "wait_service", lambda: scenario.waits)
    monkeypatch.setattr(waiting, "callback_service", lambda: service)
    monkeypatch.setattr(http_request, "outbound", lambda: callbacks.server)
    return callbacks


def test_the_first_answer_ends_the_step_and_others_change_nothing(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    token = callbacks.call(run)
    assert callbacks.scenario.run_status(run) is RunStatus.WAITING
    callbacks.service.answer(token, {"result": {"items": [1]}})
    callbacks.service.answer(token, {"result": {"items": [2]}})
    callbacks.service.answer(token, {"error": "late"})
    assert callbacks.scenario.engine.answers == [("token-1", {"result": {"items": [1]}})]
    assert callbacks.scenario.run_status(run) is RunStatus.RUNNING
    (row,) = callbacks.scenario.cluster.query("select answer from task_waits where run_id = %s", run.id)
    assert row["answer"] is None, "the answer stays in the step's record only"


def test_an_error_fails_the_step(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    callbacks.service.answer(callbacks.call(run), {"error": "The sheet is gone."})
    assert callbacks.scenario.engine.answers == [("token-1", {"error": "rejected", "message": "The sheet is gone."})]
    assert callbacks.error_of(run) == {"name": "rejected", "message": "The sheet is gone."}


def test_characters_that_cannot_be_stored_do_not_lose_the_answer(callbacks: Callbacks) -> None:
    result = {"z": "a\x00b\ud800", "a": 1e308}
    callbacks.service.answer(callbacks.call(callbacks.scenario.start_run()), {"result": result})
    ((_, answer),) = callbacks.scenario.engine.answers
    assert list(answer["result"].items()) == [("z", "a\ufffdb\ufffd"), ("a", 1e308)], "in their order"


def test_a_process_that_is_late_does_not_end_the_wait_of_the_next_attempt(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()

    def second_attempt_meanwhile() -> None:
        callbacks.server.on_request = lambda: None
        callbacks.call(run, "token-2")
        raise Unavailable("The server did not respond in time.")

    callbacks.server.on_request = second_attempt_meanwhile
    callbacks.call(run)
    callbacks.service.answer(callbacks.token, {"result": 1})
    assert callbacks.scenario.engine.answers == [("token-2", {"result": 1})]


def test_a_null_result_is_an_answer(callbacks: Callbacks) -> None:
    callbacks.service.answer(callbacks.call(callbacks.scenario.start_run()), {"result": None})
    assert callbacks.scenario.engine.answers == [("token-1", {"result": None})]


def test_an_answer_before_the_request_is_over_is_not_lost(callbacks: Callbacks) -> None:
    callbacks.server.on_request = lambda: callbacks.service.answer(callbacks.token, {"result": 1})
    callbacks.call(callbacks.scenario.start_run())
    assert callbacks.scenario.engine.answers == [("token-1", {"result": 1})]


def test_a_process_that_dies_before_the_step_resumes_leaves_the_answer_to_the_sweep(callbacks: Callbacks) -> None:
    token = callbacks.call(callbacks.scenario.start_run())

    def die() -> None:
        raise KeyboardInterrupt

    callbacks.scenario.engine.on_answer = die
    with pytest.raises(KeyboardInterrupt):
        callbacks.service.answer(token, {"result": 1})
    callbacks.scenario.engine.on_answer = lambda: None
    assert [callbacks.scenario.waits.settle(callbacks.scenario.tenant) for _ in range(2)] == [1, 0]
    assert callbacks.scenario.engine.answers == [("token-1", {"result": 1})]


def test_a_repeated_step_sends_no_second_request_once_it_was_answered(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    token = callbacks.call(run)

    def raise_unavailable() -> None:
        raise Unavailable("away")

    callbacks.scenario.engine.on_answer = raise_unavailable
    with pytest.raises(Unavailable):
        callbacks.service.answer(token, {"result": 1})
    callbacks.scenario.engine.on_answer = lambda: None
    callbacks.call(run, "token-2")
    assert (len(callbacks.server.requests), callbacks.scenario.engine.answers) == (1, [("token-2", {"result": 1})])


def test_a_repeated_step_without_an_answer_sends_the_same_url_and_key(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    assert callbacks.call(run) == callbacks.call(run, "token-2")
    keys = {request["headers"]["idempotency-key"] for request in callbacks.server.requests}
    assert (len(callbacks.server.requests), len(keys)) == (2, 1)
    callbacks.service.answer(callbacks.token, {"result": 1})
    assert callbacks.scenario.engine.answers == [("token-2", {"result": 1})]


def test_a_request_that_fails_leaves_no_wait(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    callbacks.server.failure = NotSupported("404")
    with pytest.raises(NotSupported):
        callbacks.call(run)
    assert callbacks.scenario.run_status(run) is RunStatus.RUNNING
    callbacks.scenario.clock.advance(timedelta(days=2))
    assert callbacks.scenario.waits.settle(callbacks.scenario.tenant) == 0


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ((200, "text/html; charset=utf-8"), Unavailable),  # n8n while it starts
        ((404, "application/json"), Unavailable),  # n8n before the workflow is active
        ((502, "text/html"), Unavailable),
        ((429, "application/json"), RateLimited),
        ((403, "text/plain"), Conflict),
        ((302, "text/plain"), Conflict),
    ],
)
def test_a_server_that_does_not_take_the_request_is_not_waited_for(
    callbacks: Callbacks, response: tuple[int, str], error: type[DomainError]
) -> None:
    run = callbacks.scenario.start_run()
    callbacks.server.response = response
    with pytest.raises(error, match=str(response[0])):
        callbacks.call(run)
    assert callbacks.scenario.run_status(run) is RunStatus.RUNNING
    first = callbacks.token
    callbacks.server.response = (200, "")
    assert callbacks.call(run, "token-2") == first, "the first request may have got through all the same"
    callbacks.service.answer(first, {"result": 1})
    assert callbacks.scenario.engine.answers == [("token-2", {"result": 1})]


def test_a_step_that_is_repeated_after_an_error_waits_for_another_answer(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    first = callbacks.call(run)
    callbacks.service.answer(first, {"error": "no"})
    second = callbacks.call(run, "token-2")
    with pytest.raises(Unauthenticated):
        callbacks.service.answer(first, {"result": "of the first request, late"})
    callbacks.service.answer(second, {"result": 2})
    assert callbacks.scenario.engine.answers[1:] == [("token-2", {"result": 2})]


def test_a_step_that_is_repeated_after_a_timeout_waits_the_whole_time_again(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    token = callbacks.call(run)
    callbacks.scenario.clock.advance(timedelta(hours=2))
    callbacks.scenario.waits.settle(callbacks.scenario.tenant)
    assert callbacks.call(run, "token-2") == token
    callbacks.scenario.clock.advance(timedelta(minutes=50))
    callbacks.service.answer(token, {"result": 1})
    assert callbacks.scenario.engine.answers[1:] == [("token-2", {"result": 1})]


def test_an_answer_counts_although_the_response_to_the_request_was_lost(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()

    def answer_and_vanish() -> None:
        callbacks.service.answer(callbacks.token, {"result": 1})
        raise Unavailable("The server did not respond in time.")

    callbacks.server.on_request = answer_and_vanish
    callbacks.call(run)
    assert callbacks.scenario.engine.answers == [("token-1", {"result": 1})]
    assert callbacks.error_of(run) is None


def test_an_answer_after_the_time_or_the_run_is_over_is_refused(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    token = callbacks.call(run)
    callbacks.scenario.clock.advance(timedelta(hours=2))
    with pytest.raises(Conflict, match="no longer waits"):
        callbacks.service.answer(token, {"result": 1})
    assert callbacks.scenario.waits.settle(callbacks.scenario.tenant) == 1
    assert callbacks.error_of(run) == {"name": "timeout", "message": "No answer came in time."}
    with pytest.raises(Conflict):
        callbacks.service.answer(token, {"result": 1})
    assert callbacks.scenario.engine.answers == [
        ("token-1", {"error": "timeout", "message": "No answer came in time."})
    ]


def test_an_answer_to_a_run_that_ended_is_refused(callbacks: Callbacks) -> None:
    run = callbacks.scenario.start_run()
    token = callbacks.call(run)
    callbacks.scenario.runs.end(callbacks.scenario.tenant, run.id, RunStatus.CANCELLED)
    with pytest.raises(Conflict):
        callbacks.service.answer(token, {"result": 1})


def test_a_changed_token_or_that_of_another_tenant_is_refused(
    callbacks: Callbacks, cluster: Cluster, new_tenant: Callable[[], UUID]
) -> None:
    token = callbacks.call(callbacks.scenario.start_run())
    signed = callbacks.service.url(new_tenant(), new_id()).removeprefix(URL)
    changed = ("B" if token[-2] == "A" else "A").join([token[:-2], token[-1]])
    for bad in ("", "x", "ä", "A" * 86, token[:-4], changed, f"{token}AAAA", signed, token.swapcase()):
        with pytest.raises(Unauthenticated, match="signature"):
            callbacks.service.answer(bad, {"result": 1})
    assert callbacks.scenario.engine.answers == []
    keys = cluster.query("select from data_keys where tenant_id = %s", UUID(int=0x41 << 120))
    assert keys == [], "a stranger's token creates no keys"


def test_a_large_answer_is_refused_and_the_step_waits_on(callbacks: Callbacks) -> None:
    token = callbacks.call(callbacks.scenario.start_run())
    with pytest.raises(PayloadTooLarge):
        callbacks.service.answer(token, {"result": "x" * MAX_ANSWER_BYTES})
    callbacks.service.answer(token, {"result": "x" * (MAX_ANSWER_BYTES - 100)})
    assert len(callbacks.scenario.engine.answers) == 1

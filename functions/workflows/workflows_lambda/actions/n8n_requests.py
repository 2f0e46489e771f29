"""Sends the requests of n8n's nodes, to other systems and to the model.

A step that is repeated goes on after the last response that it has.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import datetime
from itertools import batched
from typing import Any, Final
from uuid import uuid5

from email_sender.adapters.aws.lambda_sandbox import Answer
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable
from email_sender.kit.live_settings import live_features
from email_sender.kit.system_clock import now
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.features import Feature, require_feature
from email_sender.security.permissions import Permission, require
from email_sender.workflows.model import OPEN_STATUSES, RunDetail
from workflows_lambda.actions.n8n_asked import (
    AskedRequest,
    CallRequest,
    ForgetRequest,
    MailRequest,
    ModelRequest,
    ReachedRequest,
    RecallRequest,
    RememberRequest,
    RunRequest,
    SandboxRequest,
    SearchRequest,
    SeenRequest,
    parse_requests,
)
from workflows_lambda.actions.n8n_memory import answer_from_memory
from workflows_lambda.actions.n8n_models import ask_model
from workflows_lambda.actions.run_results import result_of_run
from workflows_lambda.actions.step_items import loaded_of_runs
from workflows_lambda.bootstrap import outbound, passages, received_mail, run_service, workflow_units

MAX_REQUESTS: Final = 500
# The responses, with files in Base64, are part of the request to the sandbox, and files are hardly compressible.
_MAX_RESPONSE_CHARACTERS: Final = 4_500_000
_AT_ONCE: Final = 8
# The function may take 300 seconds: runs of the nodes 20 each, and the last requests to the model up to 220.
_SECONDS: Final = 45
_POLL_SECONDS: Final = 0.5


class NodeRequests:
    """The requests of one step, counted from 0, and their responses."""

    def __init__(self, call: TaskCall) -> None:
        self._call = call
        with workflow_units()(call.tenant_id) as unit:
            asked_at, stored = unit.step_responses.read(call.run_id, call.step)
        self.asked_at: datetime = asked_at or now()
        self._stored = dict(stored)
        self._deadline = 0.0
        self._size = sum(len(json.dumps(response)) for response in stored.values())

    def run(self, nodes: Callable[[Sequence[Mapping[str, Any]]], Answer]) -> Answer:
        """Run the nodes with the responses so far, and send what they ask for, until they ask for nothing.

        Raises:
            InvalidInput: the nodes ask for something else than requests, for too many, or the responses are too large.
            Unavailable: the requests take long. What was sent is stored: the step can be repeated.
        """
        self._deadline = time.monotonic() + _SECONDS
        responses: list[Mapping[str, Any]] = []
        while (number := len(responses)) in self._stored:
            responses.append(self._stored[number])
        while (answer := nodes(responses)).requests is not None:
            responses += self._responses(len(responses), parse_requests(answer.requests))
        return answer

    def _responses(self, first: int, requests: Sequence[AskedRequest]) -> list[Mapping[str, Any]]:
        if first + len(requests) > MAX_REQUESTS:
            raise InvalidInput(f"The nodes send more than {MAX_REQUESTS} requests. Split the items into several runs.")
        missing = {
            first + place: request for place, request in enumerate(requests) if first + place not in self._stored
        }
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for some in batched(missing.items(), _AT_ONCE, strict=False):
                if time.monotonic() > self._deadline:
                    message = f"The nodes have sent {len(self._stored)} requests, and go on when the step is repeated."
                    raise Unavailable(message)
                sent = {pool.submit(self._response, number, request): number for number, request in some}
                self._keep_all(sent)
        return [self._stored[first + place] for place in range(len(requests))]

    def _keep_all(self, sent: Mapping[Future[Mapping[str, Any]], int]) -> None:
        """Store each response as soon as it is there: a process that dies here has sent at most those under way.

        Those of the others are stored, too, if one fails: what was sent is not sent again.
        """
        failures: list[Exception] = []
        for future in as_completed(sent):
            if (failure := future.exception()) is None:
                self._keep(sent[future], future.result())
            elif isinstance(failure, Exception):
                failures.append(failure)
            else:
                raise failure
        if failures:
            # One that may pass the next time, if there is one: the others come again then.
            raise next((failure for failure in failures if isinstance(failure, Unavailable)), failures[0])

    def _response(self, number: int, request: AskedRequest) -> Mapping[str, Any]:
        match request:
            case ModelRequest():
                require_feature(live_features(), Feature.AI_GENERATE, self._call.tenant_id)
                return ask_model(self._call.tenant_id, request)
            case RecallRequest() | RememberRequest() | SeenRequest() | ReachedRequest() | ForgetRequest():
                return answer_from_memory(self._call, number, request)
            case SearchRequest():
                require(self._call.role, Permission.VECTORS_READ)
                return self._search(request)
            case CallRequest():
                return self._called(number, request)
            case RunRequest():
                return self._result_of_called(request)
            case MailRequest():
                require(self._call.role, Permission.MESSAGING_READ)
                return {"mail": received_mail(self._call.tenant_id, request.mail.id)}
            case _:
                require_feature(live_features(), Feature.HTTP_REQUEST, self._call.tenant_id)
                return self._send(number, request)

    def _search(self, request: SearchRequest) -> Mapping[str, Any]:
        asked = request.search
        try:
            return {"passages": passages().find(self._call.tenant_id, asked.collection, asked.text, asked.limit)}
        except RateLimited as error:
            raise Unavailable(str(error)) from None
        except (NotFound, InvalidInput, Conflict) as error:
            return {"error": str(error)}

    def _called(self, number: int, request: CallRequest) -> Mapping[str, Any]:
        """Start the workflow, unless an earlier attempt did, and wait for its end."""
        run_id = uuid5(self._call.idempotency_key(), f"call/{number}")
        asked = request.call
        try:
            run_service().call(self._call.tenant_id, run_id, asked.workflow, asked.inputs, self._call.run_id)
        except (NotFound, InvalidInput, Forbidden, Conflict) as error:
            return {"error": str(error)}
        while (detail := run_service().get(self._call.tenant_id, run_id)).run.status in OPEN_STATUSES:
            if time.monotonic() > self._deadline:
                raise Unavailable(f"The workflow {asked.workflow!r} still runs. The step goes on when it is repeated.")
            time.sleep(_POLL_SECONDS)
        return self._items_of(detail)

    def _result_of_called(self, request: RunRequest) -> Mapping[str, Any]:
        detail = run_service().get(self._call.tenant_id, request.run.id)
        if detail.run.called_by not in (self._call.run_id, *self._call.lineage):
            return {"error": "The run was called by another one."}
        return self._items_of(detail)

    def _items_of(self, detail: RunDetail) -> Mapping[str, Any]:
        runs = [detail.run.id, *detail.run.lineage]
        return loaded_of_runs(self._call.tenant_id, runs, result_of_run(detail))

    def _send(self, number: int, request: SandboxRequest) -> Mapping[str, Any]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            headers.setdefault("idempotency-key", str(uuid5(self._call.idempotency_key(), str(number))))
        return outbound().send_request(
            {
                "kind": "node",
                "tenant_id": str(self._call.tenant_id),
                "method": request.method,
                "url": request.url,
                "headers": headers,
                "auth": asdict(request.auth) if request.auth else None,
                "body": base64.b64encode(request.content).decode(),
                "seconds": request.seconds,
                "redirects": request.redirects,
            }
        )

    def _keep(self, number: int, response: Mapping[str, Any]) -> None:
        self._size += len(json.dumps(response))
        if self._size > _MAX_RESPONSE_CHARACTERS:
            limit = f"{_MAX_RESPONSE_CHARACTERS:,} characters as JSON"
            raise InvalidInput(f"The responses to the nodes' requests have more than {limit}.")
        with workflow_units()(self._call.tenant_id) as unit:
            unit.step_responses.add(self._call.run_id, self._call.step, number, self.asked_at, response)
            unit.commit()
        self._stored[number] = response

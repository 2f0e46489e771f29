"""Inbound webhooks: a request that is signed, or that has the secret, starts a run, and another reads its result."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from email_sender import base64url
from email_sender.clock import Clock
from email_sender.errors import Forbidden, InvalidInput, NotFound, PayloadTooLarge, Unauthenticated
from email_sender.security.permissions import Role, weaker
from email_sender.security.quotas import QuotaKind
from email_sender.strict_json import read_json
from email_sender.workflows.definition.model import WebhookAuth
from email_sender.workflows.model import OPEN_STATUSES, Run, RunDetail, RunStatus
from email_sender.workflows.runs.service import RunService
from email_sender.workflows.stored_items import references_in, with_items
from email_sender.workflows.triggers.answers import WebhookAnswer, answer_of
from email_sender.workflows.triggers.hook_requests import HookRequest, inputs_of, sends_secret
from email_sender.workflows.triggers.model import Secrets, StoredTrigger, TriggerKind, TriggerState, TriggerUnits
from email_sender.workflows.triggers.service import TriggerInvocation, TriggerService

# Together with the run's other state, this stays under Step Functions' limit of 256 KiB.
MAX_BODY_BYTES = 128 * 1024
# How long the previous secret stays valid, so that the sender has time to change to the new secret.
SECRET_OVERLAP = timedelta(days=1)
_POLL_SECONDS = 0.2
_PROMPT_SECONDS = 3.0
_LATER_POLL_SECONDS = 0.6
_MAX_WAITING = 20
# With more items, the result has the references to them.
_MAX_RESULT_CHARACTERS = 1_000_000
_REJECTED = (
    "The webhook does not exist, the secret or the signature is wrong, or its timestamp is more than 5 minutes off."
)


class WebhookSignatures(Protocol):
    def new_secret(self) -> str: ...

    def is_valid_signature(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether the headers sign this body at the current time. Never raises for a client's input."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    secret: str
    previous_ends: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a webhook led to. `failed`: the caller waited for an answer, and the run has failed without one."""

    run: Run
    answer: WebhookAnswer | None = None
    failed: bool = False


class WebhookService:
    """Receive webhook requests and manage their secrets.

    `units_without_keys` serve the first lookup: the tenant id of an unverified token may be false, and gets no keys.
    """

    def __init__(
        self,
        units: TriggerUnits,
        units_without_keys: TriggerUnits,
        triggers: TriggerService,
        runs: RunService,
        signatures: WebhookSignatures,
        now: Clock,
    ) -> None:
        self._units, self._units_without_keys, self._triggers, self._runs = units, units_without_keys, triggers, runs
        self._signatures, self._now = signatures, now

    def renew_secret(self, tenant_id: UUID, workflow_id: UUID, trigger_id: UUID, role: Role) -> NewSecret:
        """Create a new secret and return it; it cannot be read again. The previous secret stays valid for one day.

        Raises:
            NotFound: the workflow has no active webhook with this id.
            Forbidden: the webhook's runs have rights that `role` lacks, and the secret would give them away.
        """
        with self._units(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
            if trigger is None or trigger.workflow_id != workflow_id or not _is_active_webhook(trigger):
                raise NotFound("The workflow has no active webhook with this id.")
            if weaker(role, trigger.role) != trigger.role:
                raise Forbidden(
                    f"Runs of this webhook have the rights of the role {trigger.role}, which the role {role} lacks. "
                    "Ask somebody with that role for the secret, or publish the workflow yourself."
                )
            old_secrets = unit.triggers.secrets(trigger_id)
            previous_ends = self._now() + SECRET_OVERLAP if old_secrets.current else None
            new_secrets = Secrets(self._signatures.new_secret(), old_secrets.current, previous_ends)
            unit.triggers.save_secrets(trigger_id, new_secrets)
            unit.audit(self._now(), "webhook.secret", str(trigger_id), {"workflow_id": str(workflow_id)})
            unit.commit()
        return NewSecret(new_secrets.current or "", previous_ends)

    def receive(self, token: str, request: HookRequest) -> Run:
        """Start a run with the body, or the request, as its inputs. Repeating a webhook-id returns the same run.

        Raises:
            Unauthenticated: the webhook does not exist, or the secret, the signature or its timestamp is wrong. The
                message does not say which.
            PayloadTooLarge, InvalidInput: the caller is known, but the body cannot be a run's inputs.
            QuotaExceeded: the tenant may receive no more requests, or start no more runs, today.
        """
        tenant_id, trigger = self._verify(token, request)
        if request.method != "POST" and not _takes_secret(trigger):
            # A signature does not cover the method: that of a result that was asked for would start a run.
            raise Unauthenticated(_REJECTED)
        if not request.body and not _takes_secret(trigger):
            raise InvalidInput.at("", "The body is empty. Sign and send {} for a run without inputs.")
        if len(request.body) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"The body of a webhook request can have at most {MAX_BODY_BYTES} bytes.")
        with self._units(tenant_id) as unit:
            unit.spend(QuotaKind.WEBHOOKS)
            unit.commit()
        inputs = inputs_of(request) if _takes_secret(trigger) else _parse_inputs(request.body)
        # Who cannot sign may not be able to name a request either: each one is new then.
        key = request.headers.get("webhook-id") or request.headers.get("idempotency-key") or str(uuid4())
        run = self._triggers.fire(tenant_id, trigger.id, TriggerInvocation(key, inputs))
        if run is None:
            raise NotFound("Webhook not found.")
        return run

    def answer(self, token: str, run: Run) -> Outcome:
        """Wait for the answer of a run that this webhook started, if its callers wait.

        Without an answer in time, or if the run ends without one, the outcome has only the run as it is then. Nobody
        waits while the webhook has many open runs: each caller that waits holds a function.
        """
        tenant_id, trigger_id = decode_token(token)
        with self._units(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
        seconds = trigger.definition.get("answer_within", 0) if trigger is not None else 0
        if not seconds:
            return Outcome(run)
        began = time.monotonic()
        while True:
            with self._units(tenant_id) as unit:
                # In this order: a run that has ended then has its answer.
                run = unit.runs.get(run.id) or run
                result = unit.runs.answer(run.id)
                is_crowded = result is None and unit.runs.has_many_open(trigger_id, _MAX_WAITING)
            if result is not None:
                return Outcome(run, answer_of(result))
            if run.status not in OPEN_STATUSES:
                return Outcome(run, failed=run.status is not RunStatus.SUCCEEDED)
            waited = time.monotonic() - began
            if is_crowded or waited > seconds:
                return Outcome(run)
            time.sleep(_POLL_SECONDS if waited < _PROMPT_SECONDS else _LATER_POLL_SECONDS)

    def result(self, token: str, request: HookRequest, run_id: UUID) -> RunDetail:
        """Return a run that this webhook started.

        Raises:
            Unauthenticated: as in `receive`.
            NotFound: the webhook did not start a run with this id.
        """
        tenant_id, trigger = self._verify(token, request)
        detail = self._runs.get(tenant_id, run_id)
        if detail.run.trigger_id != trigger.id:
            raise NotFound("This webhook has no run with this id.")
        if not (ids := {items_id for step in detail.steps for items_id in references_in(step.result)}):
            return detail
        # The caller has no token for the route that returns stored items.
        with self._units(tenant_id) as unit:
            lists = unit.stored_items.read(ids, [run_id, *detail.run.lineage])
        if sum(len(json.dumps(items)) for items in lists.values()) > _MAX_RESULT_CHARACTERS:
            return detail
        return replace(detail, steps=[replace(step, result=with_items(step.result, lists)) for step in detail.steps])

    def _verify(self, token: str, request: HookRequest) -> tuple[UUID, StoredTrigger]:
        """Return the tenant and the trigger.

        The tenant id from the token is not trusted until the request proves the secret in that tenant's own row.
        """
        tenant_id, trigger_id = decode_token(token)
        with self._units_without_keys(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
        if trigger is None or not _is_active_webhook(trigger):
            raise Unauthenticated(_REJECTED)
        with self._units(tenant_id) as unit:
            secrets = unit.triggers.secrets(trigger_id)
        previous = secrets.previous if secrets.previous_ends and secrets.previous_ends > self._now() else None
        for secret in (secrets.current, previous):
            if secret and self._proves(trigger, request, secret):
                return tenant_id, trigger
        raise Unauthenticated(_REJECTED)

    def _proves(self, trigger: StoredTrigger, request: HookRequest, secret: str) -> bool:
        if _takes_secret(trigger):
            return sends_secret(request, secret)
        return self._signatures.is_valid_signature(secret, request.headers, request.body)


def _takes_secret(trigger: StoredTrigger) -> bool:
    return trigger.definition.get("auth") == WebhookAuth.SECRET


def encode_token(tenant_id: UUID, trigger_id: UUID) -> str:
    """Return the last part of a webhook's URL. It is not secret: the signature authenticates a request."""
    return base64url.encode(tenant_id.bytes + trigger_id.bytes)


def decode_token(token: str) -> tuple[UUID, UUID]:
    try:
        raw = base64url.decode(token)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise Unauthenticated(_REJECTED)
    return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])


def _is_active_webhook(trigger: StoredTrigger) -> bool:
    return trigger.kind is TriggerKind.WEBHOOK and trigger.state is TriggerState.ACTIVE


def _parse_inputs(body: bytes) -> Mapping[str, Any]:
    try:
        inputs = read_json(body)
    except ValueError:
        raise InvalidInput.at("", "The body is not valid JSON.") from None
    if not isinstance(inputs, dict):
        raise InvalidInput.at("", "The body must be a JSON object with the run's inputs.")
    return inputs

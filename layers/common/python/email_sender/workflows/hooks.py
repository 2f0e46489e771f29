"""Inbound webhooks: a signed post starts a run, a signed question reads its result."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from email_sender.ambient import Now
from email_sender.errors import InvalidInput, NotFound, PayloadTooLarge, Unauthenticated
from email_sender.strict_json import read_json
from email_sender.workflows.model import Run, RunDetail
from email_sender.workflows.runs import RunService
from email_sender.workflows.trigger_model import Secrets, StoredTrigger, TriggerKind, TriggerState, TriggerUnits
from email_sender.workflows.triggering import Ring, TriggerService

# With the run's other state this stays under Step Functions' 256 KiB.
MAX_BODY_BYTES = 128 * 1024
# How long the secret before still signs: time to put the new one where the posts come from.
OVERLAP = timedelta(days=1)
_REFUSED = "The signature is not right for this address, or its time is more than 5 minutes from now."


class Signatures(Protocol):
    def new_secret(self) -> str: ...

    def verifies(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the headers sign this body, now. Never raises for what a client sends."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    secret: str
    previous_ends: datetime | None


class HookService:
    """`opened` are units with the tenant's keys, for secrets; a stranger's word of a tenant reaches `units` alone."""

    def __init__(
        self,
        units: TriggerUnits,
        opened: TriggerUnits,
        triggers: TriggerService,
        runs: RunService,
        signatures: Signatures,
        now: Now,
    ) -> None:
        self._units, self._opened, self._triggers, self._runs = units, opened, triggers, runs
        self._signatures, self._now = signatures, now

    def renew(self, tenant_id: UUID, workflow_id: UUID, trigger_id: UUID) -> NewSecret:
        """Another secret, told this once. The one before signs for another day; the one before that, no more.

        Raises:
            NotFound: the workflow has no such webhook.
        """
        with self._opened(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
            if trigger is None or trigger.workflow_id != workflow_id or not _is_open(trigger):
                raise NotFound("The workflow has no such webhook.")
            before = unit.triggers.secrets(trigger_id)
            ends = self._now() + OVERLAP if before.current else None
            made = Secrets(self._signatures.new_secret(), before.current, ends)
            unit.triggers.save_secrets(trigger_id, made)
            unit.commit()
        return NewSecret(made.current or "", ends)

    def receive(self, token: str, headers: Mapping[str, str], body: bytes) -> Run:
        """Start a run with the body as its inputs. The same webhook-id again is the same run.

        Raises:
            Unauthenticated: no such address, or a wrong, old or future signature; nothing tells which.
            PayloadTooLarge, InvalidInput: it is signed, and cannot be a run's inputs.
        """
        tenant_id, trigger = self._verified(token, headers, body)
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"A webhook's body has at most {MAX_BODY_BYTES} bytes.")
        started = self._triggers.fire(tenant_id, trigger.id, Ring(headers["webhook-id"], _inputs(body)))
        if started is None:
            raise NotFound("There is no such webhook.")
        return started

    def result(self, token: str, headers: Mapping[str, str], run_id: UUID) -> RunDetail:
        """A run that this webhook started. Raises NotFound for any other."""
        tenant_id, trigger = self._verified(token, headers, b"")
        detail = self._runs.get(tenant_id, run_id)
        if detail.run.trigger_id != trigger.id:
            raise NotFound("There is no such run of this webhook.")
        return detail

    def _verified(self, token: str, headers: Mapping[str, str], body: bytes) -> tuple[UUID, StoredTrigger]:
        """The tenant is the token's word until the signature is found right, by that tenant's own row."""
        tenant_id, trigger_id = read_token(token)
        with self._units(tenant_id) as unit:
            trigger = unit.triggers.get(trigger_id)
        if trigger is None or not _is_open(trigger):
            raise Unauthenticated(_REFUSED)
        with self._opened(tenant_id) as unit:
            known = unit.triggers.secrets(trigger_id)
        previous = known.previous if known.previous_ends and known.previous_ends > self._now() else None
        for secret in (known.current, previous):
            if secret and self._signatures.verifies(secret, headers, body):
                return tenant_id, trigger
        raise Unauthenticated(_REFUSED)


def write_token(tenant_id: UUID, trigger_id: UUID) -> str:
    """The last part of a webhook's address. No secret: what signs a post is."""
    return urlsafe_b64encode(tenant_id.bytes + trigger_id.bytes).decode().rstrip("=")


def read_token(token: str) -> tuple[UUID, UUID]:
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise Unauthenticated(_REFUSED)
    return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])


def _is_open(trigger: StoredTrigger) -> bool:
    return trigger.kind is TriggerKind.WEBHOOK and trigger.state is TriggerState.ACTIVE


def _inputs(body: bytes) -> Mapping[str, Any]:
    try:
        found = read_json(body or b"{}")
    except ValueError:
        raise InvalidInput.at("", "The body is no JSON.") from None
    if not isinstance(found, dict):
        raise InvalidInput.at("", "The body is a JSON object: the run's inputs.")
    return found

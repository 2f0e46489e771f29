"""The composition root: what this area's functions are built of, once a sandbox."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from email_sender.adapters.bells import EventBridgeBells, Hook
from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.json_schemas import JsonSchemaChecker
from email_sender.adapters.jsonata_expressions import JsonataExpressions
from email_sender.adapters.lambda_outbound import LambdaOutbound
from email_sender.adapters.postgres.contacts import PostgresMessages
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.jobs_index import PostgresJobsIndex
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.stepfunctions import StepFunctionsEngine
from email_sender.adapters.vault import PostgresVault
from email_sender.adapters.webhook_signatures import StandardWebhooks
from email_sender.coordination.gate import Gate
from email_sender.errors import Conflict
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BusSettings, DatabaseSettings, NonEmpty, VaultSettings
from email_sender.kit.gate import gate_of
from email_sender.kit.resources import database, key_wrapper, secret_text
from email_sender.messaging.model import Message
from email_sender.workflows.approvals import ApprovalService
from email_sender.workflows.definitions import Compiler, WorkflowService
from email_sender.workflows.generation import TextModel
from email_sender.workflows.hooks import HookService
from email_sender.workflows.runs import RunService
from email_sender.workflows.triggering import TriggerService
from email_sender.workflows.waits import WaitService
from workflows.targets import targets


class TextModelSettings(BaseModel):
    """`endpoint` is of the provider openai, and ends before `/chat/completions`."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["bedrock", "openai"]
    model: NonEmpty
    endpoint: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.provider == "openai") != bool(self.endpoint):
            raise ValueError("provider openai has an endpoint, and bedrock has none")
        return self


def _json(value: object) -> object:
    """An environment's variable is text; an empty one says nothing."""
    return (json.loads(value) if value else None) if isinstance(value, str) else value


class Settings(DatabaseSettings, BusSettings):
    """`workflow_functions` is JSON: each function's alias (targets.FUNCTIONS)."""

    states_arn_prefix: NonEmpty
    machine_role_arn: str = ""
    machine_prefix: str = Field(default="email-sender", max_length=30)
    workflow_functions: str = "{}"
    outbound_function: str = ""
    triggers_queue_arn: str = ""
    scheduler_role_arn: str = ""
    text_model: Annotated[TextModelSettings | None, BeforeValidator(_json)] = None
    text_model_secret_arn: str = ""


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def _database() -> Database:
    return database(settings())


@cache
def workflow_units() -> PostgresWorkflowUnits:
    return PostgresWorkflowUnits(_database(), EventBridgeBus(lambda: client("events"), settings().event_bus))


@cache
def engine() -> StepFunctionsEngine:
    known = settings()
    return StepFunctionsEngine(lambda: client("stepfunctions"), known.states_arn_prefix, known.machine_role_arn)


@cache
def outbound() -> LambdaOutbound:
    return LambdaOutbound(lambda: client("lambda"), settings().outbound_function)


@cache
def text_model() -> TextModel:
    """Raises Conflict where this deployment has none."""
    from email_sender.adapters.text_models import BedrockText, OpenAIText

    known, secret = settings().text_model, settings().text_model_secret_arn
    if known is None:
        raise Conflict("This deployment has no text model: its parameter TextModel names one.")
    if known.provider == "bedrock":
        return BedrockText(lambda: client("bedrock-runtime"), known.model)
    return OpenAIText(known.endpoint, known.model, lambda: secret_text(secret))


def read_messages(tenant_id: UUID, ids: Sequence[UUID]) -> Sequence[Message]:
    """Messages of the tenant's archive, in this order; what is not there is left out."""
    keys = _vault().of(tenant_id)
    with _database().tenant(tenant_id) as conn:
        return PostgresMessages(conn, keys).get_many(ids)


@cache
def wait_service() -> WaitService:
    return WaitService(workflow_units(), engine(), now)


@cache
def _compiler() -> Compiler:
    known = settings()
    return Compiler(JsonataExpressions(), JsonSchemaChecker(), targets(known.workflow_functions), known.machine_prefix)


@cache
def _vault() -> PostgresVault:
    return PostgresVault(_database(), key_wrapper(VaultSettings.from_environment()))


@cache
def trigger_service() -> TriggerService:
    known = settings()
    hook = Hook(known.event_bus, known.triggers_queue_arn, known.scheduler_role_arn, known.machine_prefix)
    bells = EventBridgeBells(lambda: client("events"), lambda: client("scheduler"), hook)
    return TriggerService(workflow_units(), run_service(), bells, now, new_id)


@cache
def hook_service() -> HookService:
    bus = EventBridgeBus(lambda: client("events"), settings().event_bus)
    opened = PostgresWorkflowUnits(_database(), bus, _vault())
    return HookService(workflow_units(), opened, trigger_service(), run_service(), StandardWebhooks(), now)


@cache
def workflow_service() -> WorkflowService:
    return WorkflowService(workflow_units(), engine(), _compiler(), now, new_id)


@cache
def run_service() -> RunService:
    return RunService(workflow_units(), engine(), _compiler(), JsonSchemaChecker(), now, new_id)


@cache
def approval_service() -> ApprovalService:
    return ApprovalService(workflow_units(), engine(), now, new_id)


@cache
def jobs_index() -> PostgresJobsIndex:
    return PostgresJobsIndex(_database())


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(_database(), _vault())


@cache
def gate() -> Gate:
    return gate_of(_database())

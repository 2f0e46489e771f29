"""The composition root of the workflow functions. Each object is built once per execution environment."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from email_sender.adapters.bells import EventBridgeTriggerScheduler, TriggerTarget
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
from email_sender.coordination.gate import ManagerGate
from email_sender.errors import Conflict
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BusSettings, DatabaseSettings, NonEmpty, VaultSettings
from email_sender.kit.gate import manager_gate
from email_sender.kit.resources import database, key_wrapper, secret_text
from email_sender.messaging.model import Message
from email_sender.workflows.approvals import ApprovalService
from email_sender.workflows.definitions import Compiler, WorkflowService
from email_sender.workflows.generation import TextModel
from email_sender.workflows.hooks import WebhookService
from email_sender.workflows.runs import RunService
from email_sender.workflows.triggering import TriggerService
from email_sender.workflows.waits import WaitService
from workflows.targets import targets


class TextModelSettings(BaseModel):
    """`endpoint` is the base URL of the provider openai, without `/chat/completions`."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["bedrock", "openai"]
    model: NonEmpty
    endpoint: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.provider == "openai") != bool(self.endpoint):
            raise ValueError("The provider openai needs an endpoint; the provider bedrock must not have one.")
        return self


def _parse_json(value: object) -> object:
    """Parse the text of an environment variable. An empty variable counts as not set."""
    return (json.loads(value) if value else None) if isinstance(value, str) else value


class Settings(DatabaseSettings, BusSettings):
    """`workflow_functions` is JSON that maps the function names of targets.FUNCTIONS to alias ARNs."""

    states_arn_prefix: NonEmpty
    machine_role_arn: str = ""
    machine_prefix: str = Field(default="email-sender", max_length=30)
    workflow_functions: str = "{}"
    outbound_function: str = ""
    triggers_queue_arn: str = ""
    scheduler_role_arn: str = ""
    text_model: Annotated[TextModelSettings | None, BeforeValidator(_parse_json)] = None
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
    config = settings()
    return StepFunctionsEngine(lambda: client("stepfunctions"), config.states_arn_prefix, config.machine_role_arn)


@cache
def outbound() -> LambdaOutbound:
    return LambdaOutbound(lambda: client("lambda"), settings().outbound_function)


@cache
def text_model() -> TextModel:
    """Return the configured text model. Raises Conflict if the deployment has none."""
    from email_sender.adapters.text_models import BedrockTextModel, OpenAITextModel

    model_settings, secret_arn = settings().text_model, settings().text_model_secret_arn
    if model_settings is None:
        raise Conflict("This deployment has no text model. Set its parameter TextModel.")
    if model_settings.provider == "bedrock":
        return BedrockTextModel(lambda: client("bedrock-runtime"), model_settings.model)
    return OpenAITextModel(model_settings.endpoint, model_settings.model, lambda: secret_text(secret_arn))


def read_messages(tenant_id: UUID, ids: Sequence[UUID]) -> Sequence[Message]:
    """Return archived messages of the tenant in the order of `ids`. Messages that do not exist are left out."""
    keys = _vault().keys_for(tenant_id)
    with _database().tenant(tenant_id) as conn:
        return PostgresMessages(conn, keys).get_many(ids)


@cache
def wait_service() -> WaitService:
    return WaitService(workflow_units(), engine(), now)


@cache
def _compiler() -> Compiler:
    config = settings()
    return Compiler(
        JsonataExpressions(), JsonSchemaChecker(), targets(config.workflow_functions), config.machine_prefix
    )


@cache
def _vault() -> PostgresVault:
    return PostgresVault(_database(), key_wrapper(VaultSettings.from_environment()))


@cache
def trigger_service() -> TriggerService:
    config = settings()
    target = TriggerTarget(
        config.event_bus, config.triggers_queue_arn, config.scheduler_role_arn, config.machine_prefix
    )
    scheduler = EventBridgeTriggerScheduler(lambda: client("events"), lambda: client("scheduler"), target)
    return TriggerService(workflow_units(), run_service(), scheduler, now, new_id)


@cache
def webhook_service() -> WebhookService:
    bus = EventBridgeBus(lambda: client("events"), settings().event_bus)
    units_with_keys = PostgresWorkflowUnits(_database(), bus, _vault())
    return WebhookService(workflow_units(), units_with_keys, trigger_service(), run_service(), StandardWebhooks(), now)


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
def gate() -> ManagerGate:
    return manager_gate(_database())

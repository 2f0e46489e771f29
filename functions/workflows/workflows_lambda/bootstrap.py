"""The composition root of the workflow functions. Each object is built once per execution environment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from email_sender.adapters.aws.cognito_roles import CognitoRoles
from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.aws.lambda_outbound import LambdaOutbound
from email_sender.adapters.aws.lambda_passages import LambdaPassages
from email_sender.adapters.aws.lambda_sandbox import LambdaSandbox
from email_sender.adapters.aws.step_functions import StepFunctionsEngine
from email_sender.adapters.aws.trigger_scheduler import EventBridgeTriggerScheduler, TriggerTarget
from email_sender.adapters.documents.json_schemas import JsonSchemaChecker
from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.adapters.postgres import quotas
from email_sender.adapters.postgres.contacts import PostgresContacts, PostgresMessages
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.long_running_work import PostgresJobsIndex
from email_sender.adapters.postgres.stories import PostgresStories
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from email_sender.coordination.events import EventFactory
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import Conflict, RateLimited, Unavailable
from email_sender.kit.aws_clients import client, slow_client
from email_sender.kit.denials import Denials
from email_sender.kit.environment import BusSettings, DatabaseSettings, NonEmpty, VaultSettings, json_variable
from email_sender.kit.resources import database, key_wrapper, manager_gate, secret_text
from email_sender.kit.system_clock import movable_now as now
from email_sender.kit.system_clock import new_id
from email_sender.kit.telemetry import count_run
from email_sender.messaging.model import Message
from email_sender.security.quotas import QuotaKind
from email_sender.workflows.generation import TextModel
from email_sender.workflows.runs.approvals import ApprovalService
from email_sender.workflows.runs.callbacks import CallbackService
from email_sender.workflows.runs.items import RunItems
from email_sender.workflows.runs.service import RunService
from email_sender.workflows.runs.waits import WaitService
from email_sender.workflows.service import Compiler, WorkflowService
from email_sender.workflows.triggers.service import TriggerService
from email_sender.workflows.triggers.webhooks import WebhookService
from workflows_lambda.action_functions import targets

# Somewhat longer than the called function's timeout, and shorter than that of the caller.
_OUTBOUND_SECONDS = 80
_SANDBOX_SECONDS = 65
_PASSAGES_SECONDS = 35
_TEXT_SECONDS = 140


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


class Settings(DatabaseSettings, BusSettings):
    """`workflow_functions` is JSON that maps the function names of action_functions.FUNCTIONS to alias ARNs."""

    states_arn_prefix: NonEmpty
    """Start of the ARNs of Step Functions in this account and region."""
    machine_role_arn: str = ""
    """Role of the tenants' state machines."""
    storage_key_arn: str = ""
    """KMS key of the histories of runs; empty: a key of AWS."""
    machine_prefix: str = Field(default="email-sender", max_length=30)
    """Prefix of the names of the tenants' state machines."""
    workflow_functions: str = "{}"
    """JSON: ARNs of the functions that run actions."""
    outbound_function: str = ""
    """Function that sends HTTP requests to public addresses."""
    sandbox_function: str = ""
    """Function that runs nodes of n8n workflows."""
    passages_function: str = ""
    """Function that finds passages for agents."""
    public_url: str = ""
    """Public address of the API; callback URLs start with it."""
    triggers_queue_arn: str = ""
    """Queue that rules and schedules of triggers send to."""
    scheduler_role_arn: str = ""
    """Role of the schedules of triggers."""
    user_pool_id: str = ""
    """Cognito user pool; empty: another issuer has the people."""
    text_model: Annotated[TextModelSettings | None, json_variable(None)] = None
    """JSON: the model of ai.generate."""
    text_model_secret_arn: str = ""
    """Secret with the API key of that model."""


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def _database() -> Database:
    return database(settings())


@cache
def workflow_units() -> PostgresWorkflowUnits:
    return PostgresWorkflowUnits(_database(), _bus(), _vault())


@cache
def _units_without_keys() -> PostgresWorkflowUnits:
    """Return units of work for the tenant ids of unverified tokens, which may be false: they get no keys."""
    return PostgresWorkflowUnits(_database(), _bus())


@cache
def _bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), settings().event_bus)


@cache
def engine() -> StepFunctionsEngine:
    config = settings()
    return StepFunctionsEngine(
        lambda: client("stepfunctions"), config.states_arn_prefix, config.machine_role_arn, config.storage_key_arn
    )


@cache
def outbound() -> LambdaOutbound:
    return LambdaOutbound(lambda: slow_client("lambda", _OUTBOUND_SECONDS), settings().outbound_function)


@cache
def sandbox() -> LambdaSandbox:
    return LambdaSandbox(lambda: slow_client("lambda", _SANDBOX_SECONDS), settings().sandbox_function)


@cache
def passages() -> LambdaPassages:
    return LambdaPassages(lambda: slow_client("lambda", _PASSAGES_SECONDS), settings().passages_function)


@cache
def text_model(seconds: float = _TEXT_SECONDS) -> TextModel:
    """Return the configured text model, which may take as long. Raises Conflict if the deployment has none."""
    from email_sender.adapters.models.text_models import BedrockTextModel, OpenAITextModel

    model_settings, secret_arn = settings().text_model, settings().text_model_secret_arn
    if model_settings is None:
        raise Conflict("This deployment has no text model. Set its parameter TextModel.")
    if model_settings.provider == "bedrock":
        return BedrockTextModel(lambda: slow_client("bedrock-runtime", int(seconds)), model_settings.model)
    return OpenAITextModel(model_settings.endpoint, model_settings.model, lambda: secret_text(secret_arn), seconds)


def read_messages(tenant_id: UUID, ids: Sequence[UUID]) -> Sequence[Message]:
    """Return archived messages of the tenant in the order of `ids`. Messages that do not exist are left out."""
    keys = _vault().keys_for(tenant_id)
    with _database().tenant(tenant_id) as conn:
        return PostgresMessages(conn, keys).get_many(ids)


def received_mail(tenant_id: UUID, message_id: UUID) -> Mapping[str, Any] | None:
    """Return a mail of the tenant with who wrote it, or None if it does not exist."""
    keys = _vault().keys_for(tenant_id)
    with _database().tenant(tenant_id) as conn:
        messages = PostgresMessages(conn, keys).get_many([message_id])
        contact_id = messages[0].contact_id if messages else None
        contact = PostgresContacts(conn, tenant_id, keys).get(contact_id) if contact_id is not None else None
    if not messages:
        return None
    (message,) = messages
    return {
        "thread_id": str(message.thread_id or message.id),
        "message_id": message.message_id or "",
        "subject": message.subject,
        "text": message.text,
        "from": {"address": contact.address if contact else "", "name": (contact.name or "") if contact else ""},
    }


@cache
def wait_service() -> WaitService:
    return WaitService(workflow_units(), engine(), now)


@cache
def callback_service() -> CallbackService:
    return CallbackService(_units_without_keys(), _vault(), wait_service(), now, settings().public_url)


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
    roles = CognitoRoles(lambda: client("cognito-idp"), config.user_pool_id)
    return TriggerService(workflow_units(), run_service(), scheduler, roles, now, new_id)


@cache
def webhook_service() -> WebhookService:
    return WebhookService(
        workflow_units(), _units_without_keys(), trigger_service(), run_service(), StandardWebhooks(), now
    )


@cache
def workflow_service() -> WorkflowService:
    return WorkflowService(workflow_units(), engine(), _compiler(), now, new_id)


@cache
def stories() -> PostgresStories:
    return PostgresStories(_database())


@cache
def run_service() -> RunService:
    return RunService(workflow_units(), engine(), _compiler(), JsonSchemaChecker(), now, new_id, count_run)


@cache
def run_items() -> RunItems:
    return RunItems(workflow_units())


@cache
def approval_service() -> ApprovalService:
    return ApprovalService(workflow_units(), engine(), now, new_id)


@cache
def jobs_index() -> PostgresJobsIndex:
    return PostgresJobsIndex(_database(), _vault())


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(_database(), _vault())


@contextmanager
def model_tokens(tenant_id: UUID, expected: int) -> Iterator[Callable[[int], None]]:
    """Count tokens of the text model before they are used, and yield a function that gets the true number afterwards.

    If the model did not answer, nothing counts. What an answer used that could not be read stays counted as expected.

    Raises:
        QuotaExceeded: the tenant may use no more tokens today.
    """
    with workflow_units()(tenant_id) as unit:
        unit.spend(QuotaKind.MODEL_TOKENS, expected)
        unit.commit()

    def count(used: int) -> None:
        with workflow_units()(tenant_id) as unit:
            quotas.correct(unit, QuotaKind.MODEL_TOKENS, used - expected)
            unit.commit()

    try:
        yield count
    except (RateLimited, Unavailable):
        count(0)
        raise


@cache
def denials() -> Denials:
    units = Units(_database(), _bus())
    return Denials(units, EventFactory("security", now, new_id), now)


@cache
def gate() -> ManagerGate:
    return manager_gate(_database())

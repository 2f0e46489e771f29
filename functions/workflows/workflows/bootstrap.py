"""The composition root: what this area's functions are built of, once a sandbox."""

import json
from functools import cache

from pydantic import Field

from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.json_schemas import JsonSchemaChecker
from email_sender.adapters.jsonata_expressions import JsonataExpressions
from email_sender.adapters.lambda_outbound import LambdaOutbound
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.stepfunctions import StepFunctionsEngine
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BusSettings, DatabaseSettings, NonEmpty
from email_sender.kit.resources import database
from email_sender.workflows.approvals import ApprovalService
from email_sender.workflows.definitions import Compiler, WorkflowService
from email_sender.workflows.runs import RunService


class Settings(DatabaseSettings, BusSettings):
    """`workflow_targets` is JSON: the function (alias ARN) of each action."""

    states_arn_prefix: NonEmpty
    machine_role_arn: str = ""
    machine_prefix: str = Field(default="email-sender", max_length=30)
    workflow_targets: str = "{}"
    outbound_function: str = ""


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
def _compiler() -> Compiler:
    targets: dict[str, str] = json.loads(settings().workflow_targets)
    return Compiler(JsonataExpressions(), JsonSchemaChecker(), targets, settings().machine_prefix)


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
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(_database())

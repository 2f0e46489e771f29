"""A scenario of workflows, runs and approvals on PostgreSQL, with a fake engine and a manually advanced clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from email_sender.adapters.documents.json_schemas import JsonSchemaChecker
from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.kit.system_clock import new_id
from email_sender.security.permissions import Role
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.model import Actor, Approval, Decision, Run, RunStatus, ShownDraft, Workflow
from email_sender.workflows.runs.approvals import ApprovalService
from email_sender.workflows.runs.service import RunService
from email_sender.workflows.runs.waits import WaitService
from email_sender.workflows.service import Compiler, WorkflowService
from tests.database import Cluster
from tests.fakes.engine import FakeWorkflowEngine

ANN, BOB = Actor("ann", Role.ADMIN), Actor("bob", Role.USER)
TARGETS = {
    name: f"arn:aws:lambda:eu-west-1:123456789012:function:f:{n}" for n, name in enumerate(ACTION_CATALOGUE.names())
}
DEFINITION: dict[str, Any] = {
    "name": "review",
    "inputs": {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}},
    "steps": [{"id": "ask", "uses": "approval", "with": {"title": "May this go?"}}],
}
INPUTS = {"query": "disk full"}


class ManualClock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, time: timedelta) -> None:
        self.time += time


@dataclass
class WorkflowScenario:
    cluster: Cluster
    units: PostgresWorkflowUnits
    tenant: UUID
    clock: ManualClock = field(default_factory=ManualClock)
    engine: FakeWorkflowEngine = field(default_factory=FakeWorkflowEngine)

    def __post_init__(self) -> None:
        schemas = JsonSchemaChecker()
        compiler = Compiler(JsonataExpressions(), schemas, {**TARGETS, "run.finished": "arn:hook"}, "t")
        self.workflows = WorkflowService(self.units, self.engine, compiler, self.clock, new_id)
        self.runs = RunService(self.units, self.engine, compiler, schemas, self.clock, new_id)
        self.waits = WaitService(self.units, self.engine, self.clock)
        self.approvals = ApprovalService(self.units, self.engine, self.clock, new_id)

    def create_workflow(self) -> Workflow:
        return self.workflows.create(self.tenant, new_id(), DEFINITION, ANN)

    def add_templates(self, *names: str) -> None:
        for name in names:
            self.cluster.execute(
                "insert into templates (id, tenant_id, name, version) values (%s, %s, %s, 1)",
                new_id(), self.tenant, name,
            )  # fmt: skip

    def start_run(self, workflow_id: UUID | None = None) -> Run:
        """Start a run, of a new workflow if none is given."""
        return self.runs.start(self.tenant, new_id(), workflow_id or self.create_workflow().id, INPUTS, ANN)

    def request_approval(self, run: Run, token: str = "token-1", drafts: tuple[ShownDraft, ...] = ()) -> Approval:
        return self.approvals.request(
            self.tenant,
            run_id=run.id,
            step="ask",
            title="t",
            drafts=drafts,
            task_token=token,
            timeout=timedelta(days=1),
        )

    def decide(self, approval: Approval, decision: Decision = Decision.APPROVED, actor: Actor = ANN) -> Approval:
        return self.approvals.decide(self.tenant, approval.id, decision, "fine", actor)

    def run_status(self, run: Run) -> RunStatus:
        return self.runs.get(self.tenant, run.id).run.status

    @property
    def event_types(self) -> list[str]:
        rows = self.cluster.query("select type from outbox where tenant_id = %s order by sequence", self.tenant)
        return [row["type"] for row in rows]

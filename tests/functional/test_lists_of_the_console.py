"""The lists and figures that the console needs, on PostgreSQL: runs, imports, edited drafts, mail by week."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.imports import PostgresImportUnit
from email_sender.adapters.postgres.mail_statistics import PostgresMailStatistics
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.coordination.events import EventFactory
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.drafts import DraftService
from email_sender.messaging.model import Content, Draft
from email_sender.messaging.templates import content_hash
from email_sender.vectors.imports.model import Import, ImportKind, ImportStatus
from email_sender.workflows.model import Decision, Run, RunStatus, ShownDraft
from tests.contract.messaging import add_contact
from tests.database import Cluster
from tests.functional.workflow_scenario import ANN, INPUTS, WorkflowScenario

TEXT = Content("Hello", "Text")


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, tenant: UUID) -> WorkflowScenario:
    return WorkflowScenario(cluster, PostgresWorkflowUnits(app_role, None, cluster.vault(app_role)), tenant)


def add_draft(scenario: WorkflowScenario, run: Run) -> tuple[DraftService, Draft]:
    units = PostgresMessagingUnits(
        scenario.cluster.database("app"), scenario.cluster.vault(scenario.cluster.database("app")), None
    )
    contact = add_contact(units, scenario.tenant)
    draft = Draft(new_id(), run.id, "draft", 0, contact.id, new_id(), 1, TEXT, content_hash(contact.id, TEXT))
    with units(scenario.tenant) as unit:
        unit.drafts.add(draft)
        unit.commit()
    return DraftService(units, now, EventFactory("messaging", now, new_id)), draft


def test_runs_of_all_workflows_are_listed_newest_first_and_by_status(scenario: WorkflowScenario) -> None:
    workflow = scenario.create_workflow()
    runs = [
        scenario.runs.start(scenario.tenant, new_id(), workflow.id, INPUTS, ANN) for _ in range(3)
    ]  # fmt: skip
    scenario.runs.end(scenario.tenant, runs[1].id, RunStatus.FAILED)
    first = scenario.runs.page_of_all(scenario.tenant, None, None, 2)
    assert [run.id for run in first.items] == [runs[2].id, runs[1].id]
    assert first.next_cursor is not None
    second = scenario.runs.page_of_all(scenario.tenant, None, UUID(first.next_cursor), 2)
    assert ([run.id for run in second.items], second.next_cursor) == ([runs[0].id], None)
    failed = scenario.runs.page_of_all(scenario.tenant, RunStatus.FAILED, None, 10)
    assert [run.id for run in failed.items] == [runs[1].id]
    assert scenario.runs.page_of_all(scenario.cluster.new_tenant(), None, None, 10).items == []


def test_an_approval_that_is_requested_again_shows_the_edited_text(scenario: WorkflowScenario) -> None:
    """The engine repeats a request with the hash of the run's results, which is that of the text before the edit."""
    run = scenario.start_run()
    drafts, draft = add_draft(scenario, run)
    rendered = ShownDraft(draft.id, draft.sha256)
    approval = scenario.request_approval(run, drafts=(rendered,))
    edited = drafts.edit(scenario.tenant, draft.id, Content("Hi", "Better"), "ann", draft.sha256)
    shown = scenario.approvals.get(scenario.tenant, approval.id)
    assert list(shown.drafts) == [ShownDraft(draft.id, edited.sha256)]
    again = scenario.request_approval(run, "token-2", drafts=(rendered,))
    assert (again.id, list(again.drafts)) == (approval.id, [ShownDraft(draft.id, edited.sha256)])
    with pytest.raises(InvalidInput):
        scenario.request_approval(run, drafts=(ShownDraft(draft.id, "0" * 64),))
    with pytest.raises(NotFound):
        scenario.approvals.get(scenario.cluster.new_tenant(), approval.id)


def test_drafts_that_are_left_out_are_shown_so_to_the_sender(scenario: WorkflowScenario) -> None:
    run = scenario.start_run()
    drafts, first = add_draft(scenario, run)
    units = drafts._units
    contact = add_contact(units, scenario.tenant, "bob@example.org")
    second = Draft(new_id(), run.id, "draft", 1, contact.id, new_id(), 1, TEXT, content_hash(contact.id, TEXT))
    with units(scenario.tenant) as unit:
        unit.drafts.add(second)
        unit.commit()
    shown = (ShownDraft(first.id, first.sha256), ShownDraft(second.id, second.sha256))
    approval = scenario.request_approval(run, drafts=shown)
    for wrong in ([new_id()], [first.id, second.id]):
        with pytest.raises(InvalidInput):
            scenario.approvals.decide(scenario.tenant, approval.id, Decision.APPROVED, None, ANN, wrong)
    read = {first.id: first.sha256, second.id: second.sha256}
    edited = drafts.edit(scenario.tenant, first.id, Content("Hi", "Better"), "bob", first.sha256)
    decide = scenario.approvals.decide
    with pytest.raises(Conflict, match="edited since you read it"):
        decide(scenario.tenant, approval.id, Decision.APPROVED, None, ANN, [second.id], read)
    read[first.id] = edited.sha256
    decided = decide(scenario.tenant, approval.id, Decision.APPROVED, None, ANN, [second.id], read)
    assert decide(scenario.tenant, approval.id, Decision.APPROVED, None, ANN, [second.id]).status is Decision.APPROVED
    with pytest.raises(Conflict, match="other drafts left out"):
        decide(scenario.tenant, approval.id, Decision.APPROVED, None, ANN)
    assert [draft.left_out for draft in decided.drafts] == [False, True]
    with units(scenario.tenant) as unit:
        assert [one.left_out for one in unit.drafts.approvals_of(run.id, first.id)] == [False]
        assert [one.left_out for one in unit.drafts.approvals_of(run.id, second.id)] == [True]


def test_imports_are_listed_newest_first(cluster: Cluster) -> None:
    tenant, database = cluster.new_tenant(), cluster.database("app")
    ids = [new_id() for _ in range(3)]
    with database.tenant(tenant) as conn:
        unit = PostgresImportUnit(conn, tenant, None)
        for number, import_id in enumerate(ids):
            unit.add(
                Import(
                    id=import_id,
                    kind=ImportKind.MAILBOX,
                    status=ImportStatus.AWAITING_UPLOAD,
                    file_name=f"{number}.mbox",
                    size_bytes=1,
                    object_key=f"imports/{number}",
                    created_by="ann",
                    created_at=now(),
                )
            )
        assert [record.id for record in unit.page(None, 2)] == [ids[2], ids[1]]
        assert [record.id for record in unit.page(ids[1], 2)] == [ids[0]]
        conn.commit()
    other = cluster.new_tenant()
    with database.tenant(other) as conn:
        assert PostgresImportUnit(conn, other, None).page(None, 10) == []


def test_mail_is_counted_by_week_and_workflow(scenario: WorkflowScenario) -> None:
    run, cluster = scenario.start_run(), scenario.cluster
    _service, draft = add_draft(scenario, run)
    today = datetime.now(UTC)
    monday = (today - timedelta(days=today.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)

    def add_email(status: str, at: datetime, bounce: str | None = None, answered: str | None = None) -> None:
        email = new_id()
        cluster.execute(
            "insert into emails (id, tenant_id, run_id, step, contact_id, draft_id, sha256, status, lease_until, "
            "created_at, bounce_type) values (%s, %s, %s, %s, %s, %s, 'x', %s, now(), %s, %s)",
            email, scenario.tenant, run.id, str(email), draft.contact_id, draft.id, status, at, bounce,
        )  # fmt: skip
        if answered:
            cluster.execute(
                "insert into messages (id, tenant_id, import_id, message_hash, content_enc, kind, answers_email_id) "
                "values (%s, %s, %s, %s, '', %s, %s)",
                new_id(), scenario.tenant, new_id(), email.bytes, answered, email,
            )  # fmt: skip

    add_email("delivered", monday, answered="person")
    add_email("delivered", monday + timedelta(seconds=1), answered="auto_reply")
    add_email("bounced", monday, bounce="permanent")
    # The last second of the week before, and one that is too old.
    add_email("sent", monday - timedelta(seconds=1))
    add_email("sent", monday - timedelta(days=8))
    cluster.execute(
        "insert into suppressions (tenant_id, address_hash, reason, created_at) values (%s, 'h', 'unsubscribed', %s)",
        scenario.tenant, monday,
    )  # fmt: skip
    reader = PostgresMailStatistics(cluster.database("app"))
    statistics = reader.read(scenario.tenant, 2)
    this_week, last_week = monday.date(), (monday - timedelta(days=7)).date()
    assert [(week.week, week.workflow_id) for week in statistics.weeks] == [
        (this_week, run.workflow_id), (last_week, run.workflow_id),
    ]  # fmt: skip
    newest, oldest = statistics.weeks
    assert newest.workflow
    assert newest.statuses == {"delivered": 2, "bounced": 1}
    assert newest.bounces == {"permanent": 1}
    assert newest.replies == {"person": 1, "auto_reply": 1}
    assert oldest.statuses == {"sent": 1}
    assert statistics.unsubscribed == {this_week: 1}
    assert reader.read(cluster.new_tenant(), 2).weeks == []
    assert isinstance(newest.week, date)

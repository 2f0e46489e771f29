"""Store users' workflow definitions as versions and register each version as a state machine."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import Event, EventFactory
from email_sender.errors import Conflict, Forbidden, NotFound, Unavailable
from email_sender.paging import Page
from email_sender.security.permissions import Permission, Role, allows
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.compiler.compiler import compile_definition
from email_sender.workflows.definition.diff import Difference, compare_definitions
from email_sender.workflows.definition.expressions import ExpressionChecker
from email_sender.workflows.definition.model import Definition
from email_sender.workflows.definition.parser import SchemaChecker, parse_definition
from email_sender.workflows.model import Actor, Workflow, WorkflowStatus, WorkflowVersion
from email_sender.workflows.n8n.bridge import BridgeTarget
from email_sender.workflows.n8n.converter import ImportResult
from email_sender.workflows.n8n.importer import import_n8n
from email_sender.workflows.ports import WorkflowEngine, WorkflowUnit, WorkflowUnits
from email_sender.workflows.storing_checks import approves_drafts, check_templates
from email_sender.workflows.triggers.model import TriggerKind, build_triggers

# An event bus has 300 rules unless AWS raises the quota.
MAX_RULES = 50


class Compiler:
    """Parse definitions and compile them for this deployment's functions."""

    def __init__(
        self, expressions: ExpressionChecker, schemas: SchemaChecker, targets: Mapping[str, str], prefix: str
    ) -> None:
        self._expressions, self._schemas, self._targets, self._prefix = expressions, schemas, targets, prefix

    def parse(self, raw: Mapping[str, Any]) -> Definition:
        """Parse and validate a definition.

        Raises:
            InvalidInput: with every problem of the definition.
        """
        return parse_definition(raw, ACTION_CATALOGUE, self._expressions, self._schemas)

    def convert_n8n(self, raw: Mapping[str, Any], bridge: BridgeTarget | None = None) -> ImportResult:
        return import_n8n(raw, self._expressions, bridge)

    def compile(
        self, definition: Definition, tenant_id: UUID, workflow_id: UUID, version: int
    ) -> tuple[str, dict[str, Any]]:
        """Return the state machine's name and its ASL.

        Raises:
            Unavailable: this function has no target ARNs and cannot register state machines.
        """
        if not self._targets:
            raise Unavailable("The state machine is not registered yet, and this function cannot register it.")
        asl = compile_definition(
            definition,
            tenant_id=str(tenant_id),
            workflow_id=str(workflow_id),
            version=version,
            targets=self._targets,
        )
        return self.machine_name(workflow_id, version), asl

    def machine_name(self, workflow_id: UUID, version: int) -> str:
        return f"{self._prefix}-{workflow_id}-v{version}"


class WorkflowService:
    def __init__(
        self, units: WorkflowUnits, engine: WorkflowEngine, compiler: Compiler, now: Clock, new_id: IdFactory
    ) -> None:
        self._units, self._engine, self._compiler = units, engine, compiler
        self._now, self._new_id = now, new_id
        self._events = EventFactory("workflows", now, new_id)

    def validate(self, raw: Mapping[str, Any], actor: Actor) -> Definition:
        """Parse a definition and check that the actor's role has the permissions that its steps need."""
        definition = self._compiler.parse(raw)
        authorise(definition, actor.role)
        return definition

    def convert_n8n(self, raw: Mapping[str, Any], actor: Actor, bridge: BridgeTarget | None = None) -> ImportResult:
        """Convert an n8n workflow to a definition that can be stored, with a report on each node.

        With `bridge`, nodes that only n8n can run stay there.

        Raises:
            InvalidInput: `raw` is not an n8n export.
            Forbidden: the actor's role lacks a permission that the definition needs.
        """
        conversion = self._compiler.convert_n8n(raw, bridge)
        self.validate(conversion.definition, actor)
        return conversion

    def create(self, tenant_id: UUID, workflow_id: UUID, raw: Mapping[str, Any], actor: Actor) -> Workflow:
        """Store a workflow and register its state machine. Repeating the call with the same id returns the workflow.

        Raises:
            InvalidInput: the definition has problems, or it names a template that does not exist.
            Forbidden: the actor's role lacks a permission that a step needs.
            Conflict: the name is taken, or the tenant would have too many event triggers.
        """
        definition = self.validate(raw, actor)
        workflow = Workflow(workflow_id, definition.name, raw, 1, created_at=self._now(), updated_at=self._now())
        with self._units(tenant_id) as unit:
            existing = unit.workflows.get(workflow_id)
            if existing is not None:
                return existing
            check_templates(raw, definition, unit.workflows.missing_templates)
            unit.workflows.add(workflow, actor)
            _publish_triggers(unit, workflow_id, definition, actor)
            # Before the commit, because a stored version can run. If the commit fails, the state machine never runs.
            self._engine.ensure(*self._compiler.compile(definition, tenant_id, workflow_id, 1))
            unit.emit(self._build_event("workflow.created", tenant_id, workflow))
            unit.commit()
        return workflow

    def update(
        self, tenant_id: UUID, workflow_id: UUID, raw: Mapping[str, Any], expected_version: int | None, actor: Actor
    ) -> Workflow:
        """Store a new version of a workflow. Existing runs keep their version.

        `expected_version` is the version that the client last saw (If-Match); None skips the check.

        Raises:
            NotFound: the workflow does not exist.
            Conflict: the workflow is archived, or has another version than expected.
        """
        definition = self.validate(raw, actor)
        with self._units(tenant_id) as unit:
            current = unit.workflows.get(workflow_id)
            if current is None:
                raise NotFound("Workflow not found.")
            if current.status is WorkflowStatus.ARCHIVED:
                raise Conflict("The workflow is archived and cannot be changed.")
            if expected_version is not None and expected_version != current.version:
                raise Conflict(
                    f"The workflow is at version {current.version}, not {expected_version}. Read it again and retry."
                )
            check_templates(raw, definition, unit.workflows.missing_templates)
            updated_workflow = Workflow(
                workflow_id,
                definition.name,
                raw,
                current.version + 1,
                created_at=current.created_at,
                updated_at=self._now(),
            )
            unit.workflows.add_version(updated_workflow, actor)
            _publish_triggers(unit, workflow_id, definition, actor)
            self._engine.ensure(*self._compiler.compile(definition, tenant_id, workflow_id, updated_workflow.version))
            unit.emit(self._build_event("workflow.updated", tenant_id, updated_workflow))
            unit.commit()
        return updated_workflow

    def get(self, tenant_id: UUID, workflow_id: UUID) -> Workflow:
        with self._units(tenant_id) as unit:
            workflow = unit.workflows.get(workflow_id)
        if workflow is None:
            raise NotFound("Workflow not found.")
        return workflow

    def versions(self, tenant_id: UUID, workflow_id: UUID, before: int | None, limit: int) -> Page[WorkflowVersion]:
        """Return a page of the workflow's versions, newest first."""
        self.get(tenant_id, workflow_id)
        with self._units(tenant_id) as unit:
            rows = unit.workflows.versions(workflow_id, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].version) if len(rows) > limit else None)

    def compare_versions(self, tenant_id: UUID, workflow_id: UUID, before: int, after: int) -> Difference:
        old, new = (self._get_version(tenant_id, workflow_id, version) for version in (before, after))
        return compare_definitions(old, new, (f"version {before}", f"version {after}"))

    def get_definition(self, tenant_id: UUID, workflow_id: UUID, version: int | None = None) -> Definition:
        """Return the parsed definition of a version, or of the newest version."""
        if version is None:
            return self._compiler.parse(self.get(tenant_id, workflow_id).definition)
        return self._compiler.parse(self._get_version(tenant_id, workflow_id, version))

    def _get_version(self, tenant_id: UUID, workflow_id: UUID, version: int) -> Mapping[str, Any]:
        with self._units(tenant_id) as unit:
            stored_version = unit.workflows.version(workflow_id, version)
        if stored_version is None:
            raise NotFound(f"The workflow has no version {version}.")
        return stored_version.definition

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Workflow]:
        with self._units(tenant_id) as unit:
            rows = unit.workflows.page(after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def archive(self, tenant_id: UUID, workflow_id: UUID) -> None:
        """Archive a workflow and retire its triggers. Open runs continue. Archiving again has no effect."""
        with self._units(tenant_id) as unit:
            workflow = unit.workflows.get(workflow_id)
            if workflow is None:
                raise NotFound("Workflow not found.")
            if unit.workflows.archive(workflow_id):
                unit.triggers.publish(workflow_id, [])
                unit.emit(self._build_event("workflow.deleted", tenant_id, workflow))
                unit.commit()

    def _build_event(self, event_type: str, tenant_id: UUID, workflow: Workflow) -> Event:
        data = {"workflow_id": str(workflow.id), "version": workflow.version, "name": workflow.name}
        return self._events.build(event_type, tenant_id, workflow.id, data)


def _publish_triggers(unit: WorkflowUnit, workflow_id: UUID, definition: Definition, actor: Actor) -> None:
    """Store the triggers of a version in its transaction. TriggerService creates their rules and schedules afterwards.

    Raises:
        Conflict: the tenant would have too many event triggers.
    """
    triggers = build_triggers(workflow_id, definition.triggers, actor.subject, actor.role)
    unit.triggers.publish(workflow_id, triggers)
    if triggers and (count := unit.triggers.count(TriggerKind.EVENT)) > MAX_RULES:
        raise Conflict(f"A tenant can have at most {MAX_RULES} event triggers; this workflow would make it {count}.")


def authorise(definition: Definition, role: Role) -> None:
    """Check that the role has every permission that the definition's steps need.

    `email.send` without messaging:send is allowed if the step comes after an approval that lists its drafts. At the
    moment of sending, the sender checks again, by hash, that somebody with that permission approved the draft.

    Raises:
        Forbidden: a permission is missing; the message names the step and the permission.
    """
    for step in definition.steps.values():
        permission = step.action.permission
        if not permission or allows(role, Permission(permission)):
            continue
        sends = permission == Permission.MESSAGING_SEND
        if sends and approves_drafts(definition, step):
            continue
        advice = " Put an approval before it that lists the drafts it sends." if sends else ""
        raise Forbidden(f"Step {step.id} needs {permission}, which the role {role} does not have.{advice}")

"""Workflows as users own them: store a definition, make versions of it, register each as a machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import Conflict, Forbidden, NotFound, Unavailable
from email_sender.paging import Page
from email_sender.security.permissions import Permission, Role, allows
from email_sender.workflows.catalogue import SPINE
from email_sender.workflows.comparing import Difference, difference
from email_sender.workflows.compiler import compile_definition
from email_sender.workflows.definition import Definition
from email_sender.workflows.expressions import ExpressionChecker
from email_sender.workflows.model import Workflow, WorkflowStatus, WorkflowVersion
from email_sender.workflows.n8n import Imported, import_n8n
from email_sender.workflows.parsing import SchemaChecker, parse_definition
from email_sender.workflows.ports import Engine, WorkflowUnit, WorkflowUnits
from email_sender.workflows.trigger_model import TriggerKind, stored

# A bus has 300 rules unless AWS raises it.
MAX_RULES = 50


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks."""

    subject: str
    role: Role


class Compiler:
    """Definition in, machine out, with this deployment's functions."""

    def __init__(
        self, expressions: ExpressionChecker, schemas: SchemaChecker, targets: Mapping[str, str], prefix: str
    ) -> None:
        self._expressions, self._schemas, self._targets, self._prefix = expressions, schemas, targets, prefix

    def parse(self, raw: Mapping[str, Any]) -> Definition:
        """Raises InvalidInput with every problem found."""
        return parse_definition(raw, SPINE, self._expressions, self._schemas)

    def imported(self, raw: Mapping[str, Any]) -> Imported:
        return import_n8n(raw, self._expressions)

    def compile(
        self, definition: Definition, tenant_id: UUID, workflow_id: UUID, version: int
    ) -> tuple[str, dict[str, Any]]:
        """The machine's name and its ASL.

        Raises:
            Unavailable: this function registers no machines.
        """
        if not self._targets:
            raise Unavailable("The engine does not know the machine yet, and this function may not tell it.")
        asl = compile_definition(
            definition,
            tenant_id=str(tenant_id),
            workflow_id=str(workflow_id),
            version=version,
            targets=self._targets,
        )
        return self.machine(workflow_id, version), asl

    def machine(self, workflow_id: UUID, version: int) -> str:
        return f"{self._prefix}-{workflow_id}-v{version}"


class WorkflowService:
    def __init__(self, units: WorkflowUnits, engine: Engine, compiler: Compiler, now: Now, new_id: NewId) -> None:
        self._units, self._engine, self._compiler = units, engine, compiler
        self._now, self._new_id = now, new_id

    def validate(self, raw: Mapping[str, Any], actor: Actor) -> Definition:
        definition = self._compiler.parse(raw)
        authorise(definition, actor.role)
        return definition

    def imported(self, raw: Mapping[str, Any], actor: Actor) -> Imported:
        """A workflow of n8n as a definition that can be stored, and what each node became.

        Raises:
            InvalidInput: it is no export of n8n.
        """
        found = self._compiler.imported(raw)
        self.validate(found.definition, actor)
        return found

    def create(self, tenant_id: UUID, workflow_id: UUID, raw: Mapping[str, Any], actor: Actor) -> Workflow:
        definition = self.validate(raw, actor)
        workflow = Workflow(workflow_id, definition.name, raw, 1, created_at=self._now(), updated_at=self._now())
        with self._units(tenant_id) as unit:
            repeated = unit.workflows.get(workflow_id)
            if repeated is not None:
                return repeated
            unit.workflows.add(workflow, actor.subject)
            _publish(unit, workflow_id, definition, actor)
            # Before the commit: a version that is stored can run. The machine of a commit that fails is never started.
            self._engine.ensure(*self._compiler.compile(definition, tenant_id, workflow_id, 1))
            unit.emit(self._told("workflow.created", tenant_id, workflow))
            unit.commit()
        return workflow

    def update(
        self, tenant_id: UUID, workflow_id: UUID, raw: Mapping[str, Any], expected: int | None, actor: Actor
    ) -> Workflow:
        """Make a version; runs keep theirs. `expected` is the version the client last saw (If-Match)."""
        definition = self.validate(raw, actor)
        with self._units(tenant_id) as unit:
            current = unit.workflows.get(workflow_id)
            if current is None:
                raise NotFound("There is no such workflow.")
            if current.status is WorkflowStatus.ARCHIVED:
                raise Conflict("The workflow is archived.")
            if expected is not None and expected != current.version:
                raise Conflict(f"The workflow is at version {current.version}, not {expected}: read it again.")
            changed = Workflow(
                workflow_id,
                definition.name,
                raw,
                current.version + 1,
                created_at=current.created_at,
                updated_at=self._now(),
            )
            unit.workflows.add_version(changed, actor.subject)
            _publish(unit, workflow_id, definition, actor)
            self._engine.ensure(*self._compiler.compile(definition, tenant_id, workflow_id, changed.version))
            unit.emit(self._told("workflow.updated", tenant_id, changed))
            unit.commit()
        return changed

    def get(self, tenant_id: UUID, workflow_id: UUID) -> Workflow:
        with self._units(tenant_id) as unit:
            found = unit.workflows.get(workflow_id)
        if found is None:
            raise NotFound("There is no such workflow.")
        return found

    def versions(self, tenant_id: UUID, workflow_id: UUID, before: int | None, limit: int) -> Page[WorkflowVersion]:
        """The newest first."""
        self.get(tenant_id, workflow_id)
        with self._units(tenant_id) as unit:
            rows = unit.workflows.versions(workflow_id, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].version) if len(rows) > limit else None)

    def difference(self, tenant_id: UUID, workflow_id: UUID, before: int, after: int) -> Difference:
        one, other = (self._version(tenant_id, workflow_id, each) for each in (before, after))
        return difference(one, other, (f"version {before}", f"version {after}"))

    def drawn(self, tenant_id: UUID, workflow_id: UUID, version: int | None = None) -> Definition:
        """A version's definition, or the newest's, to be drawn."""
        if version is None:
            return self._compiler.parse(self.get(tenant_id, workflow_id).definition)
        return self._compiler.parse(self._version(tenant_id, workflow_id, version))

    def _version(self, tenant_id: UUID, workflow_id: UUID, version: int) -> Mapping[str, Any]:
        with self._units(tenant_id) as unit:
            found = unit.workflows.version(workflow_id, version)
        if found is None:
            raise NotFound(f"The workflow has no version {version}.")
        return found

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Workflow]:
        with self._units(tenant_id) as unit:
            rows = unit.workflows.page(after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def archive(self, tenant_id: UUID, workflow_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            workflow = unit.workflows.get(workflow_id)
            if workflow is None:
                raise NotFound("There is no such workflow.")
            if unit.workflows.archive(workflow_id):
                unit.triggers.publish(workflow_id, [])
                unit.emit(self._told("workflow.deleted", tenant_id, workflow))
                unit.commit()

    def _told(self, kind: str, tenant_id: UUID, workflow: Workflow) -> Event:
        return Event(
            id=self._new_id(),
            type=kind,
            area="workflows",
            tenant_id=tenant_id,
            aggregate_id=str(workflow.id),
            occurred_at=self._now(),
            data={"workflow_id": str(workflow.id), "version": workflow.version, "name": workflow.name},
        )


def _publish(unit: WorkflowUnit, workflow_id: UUID, definition: Definition, actor: Actor) -> None:
    """The triggers of a version, in its transaction; triggering.TriggerService makes their rules after it.

    Raises:
        Conflict: the tenant would have more rules than one may.
    """
    triggers = stored(workflow_id, definition.triggers, actor.subject, actor.role)
    unit.triggers.publish(workflow_id, triggers)
    if triggers and (count := unit.triggers.counted(TriggerKind.EVENT)) > MAX_RULES:
        raise Conflict(f"A tenant has at most {MAX_RULES} triggers on events, and this would make {count}.")


def authorise(definition: Definition, role: Role) -> None:
    """May this principal's runs do what the definition says?

    `email.send` without messaging:send is allowed where an approval stands upstream of it; whether somebody who may
    send did approve is checked again, by hash, at the moment of sending.

    Raises:
        Forbidden: naming the step and the permission.
    """
    for step in definition.steps.values():
        wanted = step.action.permission
        if not wanted or allows(role, Permission(wanted)):
            continue
        sends = wanted == Permission.MESSAGING_SEND
        if sends and any(definition.steps[each].action.name == "approval" for each in _upstream(step.id, definition)):
            continue
        advice = ": put an approval before it" if sends else ""
        raise Forbidden(f"Step {step.id} needs {wanted}, which the role {role} does not have{advice}.")


def _upstream(step: str, definition: Definition) -> set[str]:
    found: set[str] = set()
    waiting = list(definition.steps[step].needs)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(definition.steps[each].needs)
    return found

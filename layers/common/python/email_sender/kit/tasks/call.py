"""One call of a workflow action: its input from the state machine, and its arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput
from email_sender.kit.pydantic_problems import problems_of
from email_sender.security.permissions import Role


class TaskInput(BaseModel):
    """What a compiled state machine passes to a task function."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant_id: UUID
    run_id: UUID
    action: str
    step: str
    item: int | None = None
    task_token: str | None = None
    arguments: dict[str, Any] = Field(alias="with", default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskCall:
    """One call of an action.

    `item` is the index in a for_each, and -1 outside of one. `arguments` is the step's `with` after evaluation.
    `lineage` lists the runs that this run continues, the first run first.
    """

    tenant_id: UUID
    run_id: UUID
    step: str
    item: int
    arguments: Mapping[str, Any]
    started_by: str
    role: Role
    task_token: str | None = None
    lineage: Sequence[UUID] = ()

    @property
    def origin(self) -> UUID:
        """The first run of the lineage. Work that may happen only once happens once for the whole lineage."""
        return self.lineage[0] if self.lineage else self.run_id

    def idempotency_key(self) -> UUID:
        """Return a key that is the same for this step and item in all runs of the lineage."""
        return uuid5(self.origin, f"{self.step}/{self.item}")

    def parse[M: BaseModel](self, model: type[M]) -> M:
        """Return the validated arguments.

        Raises:
            InvalidInput: with pointers that begin with `/with`.
        """
        try:
            return model.model_validate(self.arguments)
        except ValidationError as error:
            details = error.errors(include_input=False, include_url=False)
            problems = problems_of(details, self.arguments, "/with", "`with`")
            summary = " ".join(problem.message for problem in problems)
            raise InvalidInput(f"Step {self.step}: {summary}", problems) from None


def as_list(value: object) -> list[object]:
    """Return `value` as a list without nulls.

    JSONata turns a list of one into its element and an empty list into nothing. A skipped step returns null.
    """
    elements = value if isinstance(value, list) else [value]
    return [element for element in elements if element is not None]


# Annotates the list fields of a step's `with`.
JsonataList = BeforeValidator(as_list)

"""The HTTP contract of vectors: batches."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID, uuid5

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from email_sender.errors import DomainError, InvalidInput, Problem
from email_sender.vectors.batch import Action, NewPoints, Operation, Outcome
from email_sender.vectors.model import MAX_OPERATIONS, MAX_POINTS, Chosen, Delete, DeletePayload, SetPayload
from vectors.schemas import Body, ClientIdIn, PointIn
from vectors.search_schemas import AnswerOut, FilterIn, SearchIn

_Key = Annotated[str, Field(min_length=1, max_length=200)]


class UpsertOp(Body):
    op: Literal["upsert"]
    collection: str
    points: Annotated[list[PointIn], Field(min_length=1, max_length=MAX_POINTS)]

    def action(self, operation: UUID) -> Action:
        return NewPoints([point.point(number, operation) for number, point in enumerate(self.points)])


class _ChosenOp(Body):
    """Points by their ids, or by a filter."""

    collection: str
    ids: Annotated[list[ClientIdIn], Field(min_length=1, max_length=MAX_POINTS)] | None = None
    filter: FilterIn | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("Name points by exactly one of ids and filter.")
        if self.filter is not None and not self.filter.filter():
            raise ValueError("An empty filter would be every point: give it a condition.")
        return self

    def chosen(self) -> Chosen:
        return Chosen(ids=self.ids, filter=None if self.filter is None else self.filter.filter())


class DeleteOp(_ChosenOp):
    op: Literal["delete"]

    def action(self, _operation: UUID) -> Action:
        return Delete(self.chosen())


class SetPayloadOp(_ChosenOp):
    """Keys of `payload` replace those of the points; their other keys stay."""

    op: Literal["set_payload"]
    payload: Annotated[dict[str, Any], Field(min_length=1)]

    def action(self, _operation: UUID) -> Action:
        return SetPayload(self.chosen(), self.payload)


class DeletePayloadOp(_ChosenOp):
    op: Literal["delete_payload"]
    keys: Annotated[list[_Key], Field(min_length=1, max_length=100)]

    def action(self, _operation: UUID) -> Action:
        return DeletePayload(self.chosen(), self.keys)


class SearchOp(SearchIn):
    op: Literal["search"]

    def action(self, _operation: UUID) -> Action:
        return self.search()


OperationIn = Annotated[UpsertOp | DeleteOp | SetPayloadOp | DeletePayloadOp | SearchOp, Field(discriminator="op")]
_OPERATION: TypeAdapter[UpsertOp | DeleteOp | SetPayloadOp | DeletePayloadOp | SearchOp] = TypeAdapter(OperationIn)


class BatchIn(Body):
    """Each operation is one of upsert, delete, set_payload, delete_payload and search, named by `op`.

    Read one by one, so that a bad one is told of in its own result.
    """

    operations: Annotated[
        list[dict[str, Any]],
        Field(min_length=1, max_length=MAX_OPERATIONS, json_schema_extra={"items": {"type": "object"}}),
    ]
    atomic_validation: bool = False

    def read(self, operation_id: UUID) -> list["Read"]:
        return [_read(raw, uuid5(operation_id, str(number))) for number, raw in enumerate(self.operations)]


type Read = tuple[UpsertOp | _ChosenOp | SearchOp, Operation] | InvalidInput


def _read(raw: dict[str, Any], operation_id: UUID) -> Read:
    try:
        parsed = _OPERATION.validate_python(raw)
    except ValidationError as error:
        # The first part of each place is the kind of operation, which is no part of the body.
        problems = [
            Problem("".join(f"/{part}" for part in each["loc"][1:]), each["msg"].removeprefix("Value error, "))
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        return InvalidInput(problems[0].message, problems)
    return parsed, Operation(parsed.collection, parsed.action(operation_id))


class ProblemOut(BaseModel):
    pointer: str
    message: str


class ErrorOut(BaseModel):
    """As problem+json has it; `pointer` is into the operation."""

    code: str
    detail: str
    errors: list[ProblemOut]

    @classmethod
    def of(cls, error: DomainError) -> Self:
        problems = error.problems if isinstance(error, InvalidInput) else ()
        return cls(
            code=error.code,
            detail=error.detail,
            errors=[ProblemOut(pointer=each.pointer, message=each.message) for each in problems],
        )


class OutcomeOut(BaseModel):
    """`count` is of the points written, or of those that a filter chose."""

    status: Literal["done", "failed"]
    count: int | None = None
    ids: list[UUID | int] | None = None
    answer: AnswerOut | None = None
    error: ErrorOut | None = None

    @classmethod
    def of(cls, read: Read, outcome: Outcome) -> Self:
        if outcome.error is not None or isinstance(read, InvalidInput):
            error = outcome.error if outcome.error is not None else InvalidInput("")
            return cls(status="failed", error=ErrorOut.of(error))
        parsed, operation = read
        if isinstance(parsed, SearchOp):
            return cls(status="done", answer=AnswerOut.of(parsed, outcome.found or ()))
        ids = [point.id for point in operation.action.points] if isinstance(operation.action, NewPoints) else None
        return cls(status="done", count=outcome.count, ids=ids)


class BatchOut(BaseModel):
    """A result for each operation, in their order."""

    results: list[OutcomeOut]
    failed: int
    took_ms: float

"""Request and response bodies of batches."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID, uuid5

from pydantic import BaseModel, Field, StrictBool, TypeAdapter, ValidationError, model_validator

from email_sender.errors import DomainError, InvalidInput
from email_sender.kit.pydantic_problems import problems_of
from email_sender.vectors.batch import Action, NewPoints, Operation, Outcome
from email_sender.vectors.model import (
    MAX_OPERATIONS,
    MAX_POINTS,
    Delete,
    DeletePayload,
    PointSelector,
    SearchAnswer,
    SetPayload,
)
from vectors_lambda.http.schemas.points import ClientIdIn, PointIn, VectorsBody
from vectors_lambda.http.schemas.searches import AnswerOut, FilterIn, SearchIn

_Key = Annotated[str, Field(min_length=1, max_length=200)]


class UpsertOp(VectorsBody):
    op: Literal["upsert"]
    collection: str
    points: Annotated[list[PointIn], Field(min_length=1, max_length=MAX_POINTS)]

    def action(self, operation: UUID) -> Action:
        return NewPoints([point.point(number, operation) for number, point in enumerate(self.points)])


class _SelectorOp(VectorsBody):
    """An operation on points selected by their ids or by a filter."""

    collection: str
    ids: Annotated[list[ClientIdIn], Field(min_length=1, max_length=MAX_POINTS)] | None = None
    filter: FilterIn | None = None

    @model_validator(mode="after")
    def _check_one_selector(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("Select points by exactly one of ids and filter.")
        if self.filter is not None and not self.filter.filter():
            raise ValueError("An empty filter would select all points. Add a condition.")
        return self

    def selector(self) -> PointSelector:
        return PointSelector(ids=self.ids, filter=None if self.filter is None else self.filter.filter())


class DeleteOp(_SelectorOp):
    op: Literal["delete"]

    def action(self, _operation: UUID) -> Action:
        return Delete(self.selector())


class SetPayloadOp(_SelectorOp):
    """Set the keys of `payload` on the selected points. Their other keys are unchanged."""

    op: Literal["set_payload"]
    payload: Annotated[dict[str, Any], Field(min_length=1)]

    def action(self, _operation: UUID) -> Action:
        return SetPayload(self.selector(), self.payload)


class DeletePayloadOp(_SelectorOp):
    op: Literal["delete_payload"]
    keys: Annotated[list[_Key], Field(min_length=1, max_length=100)]

    def action(self, _operation: UUID) -> Action:
        return DeletePayload(self.selector(), self.keys)


class SearchOp(SearchIn):
    op: Literal["search"]

    def action(self, _operation: UUID) -> Action:
        return self.search()


OperationIn = Annotated[UpsertOp | DeleteOp | SetPayloadOp | DeletePayloadOp | SearchOp, Field(discriminator="op")]
_OPERATION: TypeAdapter[UpsertOp | DeleteOp | SetPayloadOp | DeletePayloadOp | SearchOp] = TypeAdapter(OperationIn)


class BatchIn(VectorsBody):
    """A batch of operations: upsert, delete, set_payload, delete_payload and search, as named by `op`.

    Each operation is parsed separately, so that an invalid one is reported in its own result.
    """

    operations: Annotated[
        list[dict[str, Any]],
        Field(min_length=1, max_length=MAX_OPERATIONS, json_schema_extra={"items": {"type": "object"}}),
    ]
    atomic_validation: StrictBool = False

    def parse(self, operation_id: UUID) -> list["ParsedOperation"]:
        return [_parse_operation(raw, uuid5(operation_id, str(number))) for number, raw in enumerate(self.operations)]


type ParsedOperation = tuple[UpsertOp | _SelectorOp | SearchOp, Operation] | InvalidInput


def _parse_operation(raw: dict[str, Any], operation_id: UUID) -> ParsedOperation:
    try:
        parsed = _OPERATION.validate_python(raw)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False, include_input=False), raw, root="The operation")
        return InvalidInput(problems[0].message, problems)
    return parsed, Operation(parsed.collection, parsed.action(operation_id))


class ProblemOut(BaseModel):
    pointer: str
    message: str


class ErrorOut(BaseModel):
    """The error of an operation, as in problem+json. `pointer` is relative to the operation."""

    code: str
    detail: str
    errors: list[ProblemOut]

    @classmethod
    def of(cls, error: DomainError) -> Self:
        problems = error.problems if isinstance(error, InvalidInput) else ()
        return cls(
            code=error.code,
            detail=error.detail,
            errors=[ProblemOut(pointer=problem.pointer, message=problem.message) for problem in problems],
        )


class OutcomeOut(BaseModel):
    """The result of an operation. `count` is the number of points written, or selected by a filter."""

    status: Literal["done", "failed"]
    count: int | None = None
    ids: list[UUID | int] | None = None
    answer: AnswerOut | None = None
    error: ErrorOut | None = None

    @classmethod
    def of(cls, parsed_operation: ParsedOperation, outcome: Outcome) -> Self:
        if outcome.error is not None or isinstance(parsed_operation, InvalidInput):
            error = outcome.error if outcome.error is not None else InvalidInput("")
            return cls(status="failed", error=ErrorOut.of(error))
        parsed, operation = parsed_operation
        if isinstance(parsed, SearchOp):
            return cls(status="done", answer=AnswerOut.of(parsed, outcome.answer or SearchAnswer([])))
        ids = [point.id for point in operation.action.points] if isinstance(operation.action, NewPoints) else None
        return cls(status="done", count=outcome.count, ids=ids)


class BatchOut(BaseModel):
    """The result of each operation, in order."""

    results: list[OutcomeOut]
    failed: int
    took_ms: float

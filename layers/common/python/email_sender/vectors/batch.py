"""A batch: up to a thousand operations, each with its own result.

Operations are done in their order. Writes that follow each other in one collection go to the engine in one call, and
so do searches; a change is seen by the searches behind it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from email_sender.errors import DomainError, InvalidInput, NotFound, Problem
from email_sender.vectors.model import (
    Collection,
    Delete,
    DeletePayload,
    Found,
    Question,
    Search,
    SetPayload,
    Upsert,
    Write,
)
from email_sender.vectors.ports import VectorIndex
from email_sender.vectors.service import VectorService
from email_sender.vectors.validation import (
    NewPoint,
    chosen_problems,
    payload_problems,
    point_problems,
    search_problems,
)


@dataclass(frozen=True, slots=True)
class NewPoints:
    points: Sequence[NewPoint]


type Action = NewPoints | Delete | SetPayload | DeletePayload | Search[Question]


@dataclass(frozen=True, slots=True)
class Operation:
    collection: str
    action: Action


@dataclass(frozen=True, slots=True)
class Outcome:
    """`count` is of the points written, or of those that a filter chose; `found` is a search's."""

    count: int | None = None
    found: Found | None = None
    error: DomainError | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """An operation that has been checked, and its words embedded."""

    number: int
    collection: Collection
    action: Write | Search

    @property
    def batched(self) -> tuple[str, str]:
        """Neighbours that are alike in this go to the engine together."""
        if isinstance(self.action, Search):
            return self.collection.name, "search"
        return self.collection.name, "write"


class BatchService:
    def __init__(self, index: VectorIndex, vectors: VectorService) -> None:
        self._index, self._vectors = index, vectors

    def run(
        self, tenant_id: UUID, operations: Sequence[Operation | InvalidInput], *, atomic_validation: bool
    ) -> list[Outcome]:
        """Outcomes in the order of the operations. An operation may come as the error that reading it gave.

        Raises:
            InvalidInput: with `atomic_validation`, where any operation is wrong; nothing was done.
            Unavailable: the engine did not answer. What was done may be done again.
        """
        errors = {number: error for number, each in enumerate(operations) if (error := self._error(each))}
        if atomic_validation and errors:
            raise InvalidInput(
                f"{len(errors)} of {len(operations)} operations are wrong, and nothing was done.",
                [problem for number, error in errors.items() for problem in _placed(number, error)],
            )
        outcomes: dict[int, Outcome] = {number: Outcome(error=error) for number, error in errors.items()}
        good = [
            (number, each)
            for number, each in enumerate(operations)
            if isinstance(each, Operation) and number not in errors
        ]
        for _, run in groupby(self._ready(tenant_id, good), key=lambda each: each.batched):
            alike = list(run)
            work = self._searches if isinstance(alike[0].action, Search) else self._writes
            outcomes.update(work(tenant_id, alike))
        self._tell(tenant_id, good, outcomes)
        return [outcomes[number] for number in range(len(operations))]

    def _error(self, operation: Operation | InvalidInput) -> InvalidInput | None:
        if isinstance(operation, InvalidInput):
            return operation
        try:
            problems = _problems(operation.action, self._vectors.collection(operation.collection))
        except InvalidInput as error:
            return error
        return InvalidInput(problems[0].message, problems) if problems else None

    def _ready(self, tenant_id: UUID, operations: Sequence[tuple[int, Operation]]) -> list[_Ready]:
        """With every text embedded: a collection's searches in one call of its model, and its points in another."""
        made: dict[int, Write | Search] = {}
        for name in dict.fromkeys(each.collection for _, each in operations):
            target = self._vectors.collection(name)
            mine = [(number, each.action) for number, each in operations if each.collection == name]
            searches = [(number, action) for number, action in mine if isinstance(action, Search)]
            resolved = self._vectors.resolved(tenant_id, target, [action for _, action in searches])
            made |= zip((number for number, _ in searches), resolved, strict=True)
            points = [point for _, action in mine if isinstance(action, NewPoints) for point in action.points]
            vectors = iter(self._vectors.vectors_of(tenant_id, target, points))
            for number, action in mine:
                if isinstance(action, NewPoints):
                    made[number] = Upsert([self._vectors.point(target, each, next(vectors)) for each in action.points])
                elif not isinstance(action, Search):
                    made[number] = action
        return [_Ready(number, self._vectors.collection(each.collection), made[number]) for number, each in operations]

    def _writes(self, tenant_id: UUID, run: Sequence[_Ready]) -> dict[int, Outcome]:
        collection = run[0].collection.name
        writes = [each.action for each in run if not isinstance(each.action, Search)]
        outcomes = {
            ready.number: Outcome(count=self._count(tenant_id, collection, write))
            for ready, write in zip(run, writes, strict=True)
        }

        def all_of(chosen: Sequence[int]) -> None:
            self._index.write(tenant_id, collection, [writes[each] for each in chosen])

        refused = _refused(len(writes), all_of)
        return outcomes | {run[place].number: Outcome(error=error) for place, error in refused}

    def _searches(self, tenant_id: UUID, run: Sequence[_Ready]) -> dict[int, Outcome]:
        searches = [each.action for each in run if isinstance(each.action, Search)]
        found: dict[int, Outcome] = {}

        def all_of(chosen: Sequence[int]) -> None:
            answers = self._vectors.found_many(tenant_id, run[0].collection, [searches[each] for each in chosen])
            for place, answer in zip(chosen, answers, strict=True):
                found[run[place].number] = Outcome(found=answer)

        refused = _refused(len(searches), all_of)
        return found | {run[place].number: Outcome(error=error) for place, error in refused}

    def _count(self, tenant_id: UUID, collection: str, write: Write) -> int:
        """By a filter, of those there are now: the engine does not tell how many it changed."""
        if isinstance(write, Upsert):
            return len(write.points)
        if write.chosen.ids is not None:
            return len(write.chosen.ids)
        return self._index.count(tenant_id, collection, write.chosen)

    def _tell(self, tenant_id: UUID, operations: Sequence[tuple[int, Operation]], outcomes: dict[int, Outcome]) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for number, operation in operations:
            if isinstance(operation.action, Search) or outcomes[number].error is not None:
                continue
            counts[_TOLD[type(operation.action)], operation.collection] += outcomes[number].count or 0
        if counts:
            self._vectors.tell(tenant_id, counts)


_TOLD: Mapping[type[object], str] = {
    NewPoints: "vectors.inserted",
    Delete: "vectors.deleted",
    SetPayload: "vectors.updated",
    DeletePayload: "vectors.updated",
}


def _problems(action: Action, collection: Collection) -> list[Problem]:
    match action:
        case NewPoints(points):
            return point_problems(points, collection)
        case Search():
            return search_problems(action, collection)
        case Delete(chosen):
            return chosen_problems(chosen, "")
        case SetPayload(chosen, payload):
            return chosen_problems(chosen, "") + payload_problems(payload, "/payload")
        case DeletePayload(chosen, keys):
            return chosen_problems(chosen, "") + payload_problems(keys, "/keys")


def _placed(number: int, error: InvalidInput) -> Iterator[Problem]:
    at = f"/operations/{number}"
    if not error.problems:
        yield Problem(at, error.detail)
    for problem in error.problems:
        yield Problem(at + problem.pointer, problem.message)


def _refused(count: int, work: Callable[[Sequence[int]], None]) -> list[tuple[int, DomainError]]:
    """Do all at once; where the engine refuses one of them, one by one, to find which. Doing it again is harmless."""
    try:
        work(range(count))
    except (InvalidInput, NotFound) as error:
        if count == 1:
            return [(0, error)]
    else:
        return []
    refused: list[tuple[int, DomainError]] = []
    for place in range(count):
        try:
            work([place])
        except (InvalidInput, NotFound) as error:
            refused.append((place, error))
    return refused

"""Batches of up to a thousand operations, each with its own result.

Operations run in order. Consecutive writes to one collection are sent to the engine in one call, and so are consecutive
searches. A search sees the writes that precede it.
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
    PreparedQuery,
    QueryInput,
    Search,
    SearchAnswer,
    SetPayload,
    Upsert,
    Write,
)
from email_sender.vectors.ports import PointReader, PointWriter
from email_sender.vectors.service import VectorService
from email_sender.vectors.validation import (
    NewPoint,
    payload_problems,
    point_problems,
    search_problems,
    selector_problems,
)


@dataclass(frozen=True, slots=True)
class NewPoints:
    points: Sequence[NewPoint]


type Action = NewPoints | Delete | SetPayload | DeletePayload | Search[QueryInput]


@dataclass(frozen=True, slots=True)
class Operation:
    collection: str
    action: Action


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did. `count` is the number of points written or selected; `answer` is set for a search."""

    count: int | None = None
    answer: SearchAnswer | None = None
    error: DomainError | None = None


@dataclass(frozen=True, slots=True)
class _PreparedOperation:
    """A validated operation whose texts are embedded."""

    number: int
    collection: Collection
    action: Write | Search[PreparedQuery]

    @property
    def batch_key(self) -> tuple[str, str]:
        """Consecutive operations with equal keys are sent to the engine together."""
        if isinstance(self.action, Search):
            return self.collection.name, "search"
        return self.collection.name, "write"


class BatchService:
    def __init__(self, writer: PointWriter, reader: PointReader, vectors: VectorService) -> None:
        self._writer, self._reader, self._vectors = writer, reader, vectors

    def run(
        self, tenant_id: UUID, operations: Sequence[Operation | InvalidInput], *, atomic_validation: bool
    ) -> list[Outcome]:
        """Run the operations, and return their outcomes in the same order.

        An operation that could not be parsed is passed as its InvalidInput error.

        Raises:
            InvalidInput: `atomic_validation` is set and at least one operation is invalid; none was run.
            Unavailable: the engine did not respond. Some operations may have run; all can be repeated safely.
        """
        errors = {
            number: error for number, operation in enumerate(operations) if (error := self._validation_error(operation))
        }
        if atomic_validation and errors:
            raise InvalidInput(
                f"{len(errors)} of {len(operations)} operations are invalid. No operation was run.",
                [problem for number, error in errors.items() for problem in _prefix_problems(number, error)],
            )
        outcomes: dict[int, Outcome] = {number: Outcome(error=error) for number, error in errors.items()}
        valid_operations = [
            (number, operation)
            for number, operation in enumerate(operations)
            if isinstance(operation, Operation) and number not in errors
        ]
        for _, group in groupby(self._prepare(tenant_id, valid_operations), key=lambda prepared: prepared.batch_key):
            batch = list(group)
            execute = self._run_searches if isinstance(batch[0].action, Search) else self._run_writes
            outcomes.update(execute(tenant_id, batch))
        self._publish_events(tenant_id, valid_operations, outcomes)
        return [outcomes[number] for number in range(len(operations))]

    def _validation_error(self, operation: Operation | InvalidInput) -> InvalidInput | None:
        if isinstance(operation, InvalidInput):
            return operation
        try:
            problems = _problems(operation.action, self._vectors.collection(operation.collection))
        except InvalidInput as error:
            return error
        return InvalidInput(problems[0].message, problems) if problems else None

    def _prepare(self, tenant_id: UUID, operations: Sequence[tuple[int, Operation]]) -> list[_PreparedOperation]:
        """Embed all texts: one model call for a collection's searches, and one for its points."""
        actions: dict[int, Write | Search[PreparedQuery]] = {}
        for name in dict.fromkeys(operation.collection for _, operation in operations):
            collection = self._vectors.collection(name)
            collection_actions = [
                (number, operation.action) for number, operation in operations if operation.collection == name
            ]
            searches = [(number, action) for number, action in collection_actions if isinstance(action, Search)]
            prepared_searches = self._vectors.embed_queries(tenant_id, collection, [action for _, action in searches])
            actions |= zip((number for number, _ in searches), prepared_searches, strict=True)
            points = [
                point for _, action in collection_actions if isinstance(action, NewPoints) for point in action.points
            ]
            vectors = iter(self._vectors.embed_points(tenant_id, collection, points))
            for number, action in collection_actions:
                if isinstance(action, NewPoints):
                    actions[number] = Upsert(
                        [self._vectors.build_point(collection, point, next(vectors)) for point in action.points]
                    )
                elif not isinstance(action, Search):
                    actions[number] = action
        return [
            _PreparedOperation(number, self._vectors.collection(operation.collection), actions[number])
            for number, operation in operations
        ]

    def _run_writes(self, tenant_id: UUID, batch: Sequence[_PreparedOperation]) -> dict[int, Outcome]:
        collection = batch[0].collection.name
        writes = [prepared.action for prepared in batch if not isinstance(prepared.action, Search)]
        outcomes = {
            prepared.number: Outcome(count=self._count_points(tenant_id, collection, write))
            for prepared, write in zip(batch, writes, strict=True)
        }

        def write_all(positions: Sequence[int]) -> None:
            self._writer.write(tenant_id, collection, [writes[position] for position in positions])

        refusals = _find_refusals(len(writes), write_all)
        return outcomes | {batch[position].number: Outcome(error=error) for position, error in refusals}

    def _run_searches(self, tenant_id: UUID, batch: Sequence[_PreparedOperation]) -> dict[int, Outcome]:
        searches = [prepared.action for prepared in batch if isinstance(prepared.action, Search)]
        outcomes: dict[int, Outcome] = {}

        def search_all(positions: Sequence[int]) -> None:
            answers = self._vectors.run_searches(
                tenant_id, batch[0].collection, [searches[number] for number in positions]
            )
            for position, answer in zip(positions, answers, strict=True):
                outcomes[batch[position].number] = Outcome(answer=answer)

        refusals = _find_refusals(len(searches), search_all)
        return outcomes | {batch[position].number: Outcome(error=error) for position, error in refusals}

    def _count_points(self, tenant_id: UUID, collection: str, write: Write) -> int:
        """Return how many points a write affects. For a filter they are counted now, as the engine returns no count."""
        if isinstance(write, Upsert):
            return len(write.points)
        if write.selector.ids is not None:
            return len(write.selector.ids)
        return self._reader.count(tenant_id, collection, write.selector)

    def _publish_events(
        self, tenant_id: UUID, operations: Sequence[tuple[int, Operation]], outcomes: dict[int, Outcome]
    ) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for number, operation in operations:
            if isinstance(operation.action, Search) or outcomes[number].error is not None:
                continue
            counts[_EVENT_TYPES[type(operation.action)], operation.collection] += outcomes[number].count or 0
        if counts:
            self._vectors.publish_counts(tenant_id, counts)


_EVENT_TYPES: Mapping[type[object], str] = {
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
        case Delete(selector):
            return selector_problems(selector, "")
        case SetPayload(selector, payload):
            return selector_problems(selector, "") + payload_problems(payload, "/payload")
        case DeletePayload(selector, keys):
            return selector_problems(selector, "") + payload_problems(keys, "/keys")


def _prefix_problems(number: int, error: InvalidInput) -> Iterator[Problem]:
    prefix = f"/operations/{number}"
    if not error.problems:
        yield Problem(prefix, error.detail)
    for problem in error.problems:
        yield Problem(prefix + problem.pointer, problem.message)


def _find_refusals(count: int, execute: Callable[[Sequence[int]], None]) -> list[tuple[int, DomainError]]:
    """Run all operations at once. If the engine rejects one, run each alone. Return (position, error) of the rejected.

    Running an operation twice is harmless.
    """
    try:
        execute(range(count))
    except (InvalidInput, NotFound) as error:
        if count == 1:
            return [(0, error)]
    else:
        return []
    refusals: list[tuple[int, DomainError]] = []
    for position in range(count):
        try:
            execute([position])
        except (InvalidInput, NotFound) as error:
            refusals.append((position, error))
    return refusals

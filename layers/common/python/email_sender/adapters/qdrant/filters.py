"""The domain's filters as Qdrant's, with the tenant's condition outside of what a client expressed."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.model import Condition, Filter

TENANT = "tenant_id"


def of_tenant(tenant_id: UUID, chosen: Filter = Filter(), ids: Iterable[str] | None = None) -> Any:  # noqa: B008  # frozen
    """A pb.Filter. Nothing inside `chosen` can widen it: it is one more condition that must hold."""
    conditions = [_field(TENANT, match=pb.Match(keyword=str(tenant_id)))]
    if ids is not None:
        conditions.append(pb.Condition(has_id=pb.HasIdCondition(has_id=[pb.PointId(uuid=each) for each in ids])))
    if chosen:
        inner = pb.Filter(
            must=[_condition(each) for each in chosen.must],
            should=[_condition(each) for each in chosen.should],
            must_not=[_condition(each) for each in chosen.must_not],
        )
        conditions.append(pb.Condition(filter=inner))
    return pb.Filter(must=conditions)


def _field(key: str, **condition: Any) -> Any:
    return pb.Condition(field=pb.FieldCondition(key=key, **condition))


def _condition(condition: Condition) -> Any:
    key = condition.key
    if condition.any_of is not None:
        return _match(key, condition.any_of)
    if condition.exists is not None:
        empty = pb.Condition(is_empty=pb.IsEmptyCondition(key=key))
        return pb.Condition(filter=pb.Filter(must_not=[empty])) if condition.exists else empty
    bounds = {name: bound for name in ("gt", "gte", "lt", "lte") if (bound := getattr(condition, name)) is not None}
    if any(isinstance(bound, datetime) for bound in bounds.values()):
        times = pb.DatetimeRange()
        for name, bound in bounds.items():
            # A time without a zone is UTC, as everywhere in the API.
            zoned = bound if bound.tzinfo else bound.replace(tzinfo=UTC)
            getattr(times, name).FromDatetime(zoned.astimezone(UTC).replace(tzinfo=None))
        return _field(key, datetime_range=times)
    return _field(key, range=pb.Range(**bounds))


def _match(key: str, values: Sequence[str | int | bool]) -> Any:
    """One of the values. The engine's "any" takes one type and no booleans."""
    words = [each for each in values if isinstance(each, str)]
    numbers = [each for each in values if isinstance(each, int) and not isinstance(each, bool)]
    either = [_field(key, match=pb.Match(boolean=each)) for each in values if isinstance(each, bool)]
    if words:
        match = pb.Match(keyword=words[0]) if len(words) == 1 else pb.Match(keywords=pb.RepeatedStrings(strings=words))
        either.append(_field(key, match=match))
    if numbers:
        match = (
            pb.Match(integer=numbers[0])
            if len(numbers) == 1
            else pb.Match(integers=pb.RepeatedIntegers(integers=numbers))
        )
        either.append(_field(key, match=match))
    return either[0] if len(either) == 1 else pb.Condition(filter=pb.Filter(should=either))

"""Conversion of the domain's filters to Qdrant's. The tenant's condition is always outside the client's filter."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.model import Condition, Filter

TENANT = "tenant_id"


def tenant_filter(tenant_id: UUID, client_filter: Filter = Filter(), ids: Iterable[str] | None = None) -> Any:  # noqa: B008  # frozen
    """Return a pb.Filter for the tenant's points. The client's filter and the ids can only narrow it."""
    conditions = [_field(TENANT, match=pb.Match(keyword=str(tenant_id)))]
    if ids is not None:
        conditions.append(
            pb.Condition(has_id=pb.HasIdCondition(has_id=[pb.PointId(uuid=point_id) for point_id in ids]))
        )
    if client_filter:
        inner = pb.Filter(
            must=[_condition(condition) for condition in client_filter.must],
            should=[_condition(condition) for condition in client_filter.should],
            must_not=[_condition(condition) for condition in client_filter.must_not],
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
    """Match any of the values. Qdrant's "any" takes values of one type only, and no booleans."""
    words = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    alternatives = [_field(key, match=pb.Match(boolean=value)) for value in values if isinstance(value, bool)]
    if words:
        match = pb.Match(keyword=words[0]) if len(words) == 1 else pb.Match(keywords=pb.RepeatedStrings(strings=words))
        alternatives.append(_field(key, match=match))
    if numbers:
        match = (
            pb.Match(integer=numbers[0])
            if len(numbers) == 1
            else pb.Match(integers=pb.RepeatedIntegers(integers=numbers))
        )
        alternatives.append(_field(key, match=match))
    return alternatives[0] if len(alternatives) == 1 else pb.Condition(filter=pb.Filter(should=alternatives))

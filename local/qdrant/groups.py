"""Grouped search, which the engine lacks: the best ``limit`` groups, each with its best ``group_size`` hits.

Both steps use the engine's ranking. First the ranking is read from the top, deeper each time, until it has ``limit``
groups or ends. Then each group that is not full yet is queried separately. Reading the ranking until every group is
full would return the same result, but one small group could require reading the whole collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import InvalidArgument, Unimplemented
from local.qdrant.queries import Resolver
from local.qdrant.values import scored_point_with, with_payload, with_vectors

type Key = str | int

LIMIT = 10
GROUP_SIZE = 3
_GROWTH = 4
_STEP = re.compile(r'"(?P<quoted>[^"]+)"|(?P<name>[^.\[\]"]+)|\[(?P<index>\d*)\]')


def query_groups(shard: edge.EdgeShard, resolver: Resolver, request: pb.QueryPointGroups) -> pb.GroupsResult:
    """Run ``QueryGroups``. A point with several values is in several groups, a point without a usable value in none."""
    limit = request.limit if request.HasField("limit") else LIMIT
    size = request.group_size if request.HasField("group_size") else GROUP_SIZE
    if request.HasField("with_lookup"):
        raise Unimplemented("with_lookup")
    if not limit or not size:
        raise InvalidArgument("limit and group_size must be at least 1")
    search = _Search(shard, resolver, request)
    groups, complete = search.first_groups(limit, size)
    if not complete:
        for key, hits in groups.items():
            if len(hits) < size:
                group_hits = search.hits_of_group(key, size)
                # The field's index may lack values of another type: keep the hits of the ranking then.
                groups[key] = group_hits if len(group_hits) > len(hits) else hits
    return _build_result(shard, request, groups)


class _Search:
    """The query of one request, which is repeated at several depths."""

    def __init__(self, shard: edge.EdgeShard, resolver: Resolver, request: pb.QueryPointGroups) -> None:
        self._shard = shard
        self._resolver = resolver
        self._request = request
        self._path = _parse_path(request.group_by)
        self._has_group = edge.Filter(must_not=[edge.IsEmptyCondition(request.group_by)])

    def first_groups(self, limit: int, size: int) -> tuple[dict[Key, list[edge.ScoredPoint]], bool]:
        """Return the first ``limit`` groups of the ranking, best first, and whether their hits are complete."""
        point_count = self._shard.count(edge.CountRequest())
        # A fusion ranks the results of its prefetches: another depth or filter would change the ranking itself.
        depth = point_count if self._request.prefetch else limit * size * _GROWTH
        while True:
            hits = self._query(depth, self._has_group)
            groups = self._split(hits, limit, size)
            is_exhausted = len(hits) < depth or depth >= point_count
            if is_exhausted or len(groups) == limit:
                return groups, is_exhausted
            depth *= _GROWTH

    def hits_of_group(self, key: Key, size: int) -> list[edge.ScoredPoint]:
        """Return the best ``size`` hits of one group."""
        same_group = edge.FieldCondition(self._request.group_by, match=edge.MatchValue(key))
        # Request more hits than needed, because points with an unusable value are filtered out below.
        hits = self._query(size * _GROWTH, edge.Filter(must=[same_group]))
        return [hit for hit in hits if key in self._keys(hit)][:size]

    def _query(self, depth: int, extra_filter: edge.Filter) -> list[edge.ScoredPoint]:
        payload_selector = edge.PayloadSelector.Include([self._path[0][0]])
        request = self._resolver.request(
            self._request, limit=depth, also=extra_filter, with_payload=payload_selector, with_vector=False
        )
        return self._shard.query(request)

    def _split(self, hits: Iterable[edge.ScoredPoint], limit: int, size: int) -> dict[Key, list[edge.ScoredPoint]]:
        groups: dict[Key, list[edge.ScoredPoint]] = {}
        for hit in hits:
            for key in self._keys(hit):
                if key not in groups and len(groups) < limit:
                    groups[key] = []
                if key in groups and len(groups[key]) < size:
                    groups[key].append(hit)
        return groups

    def _keys(self, hit: edge.ScoredPoint) -> list[Key]:
        """Return the groups of a point. As in Qdrant, a value that is neither text nor integer excludes it from all."""
        values = list(_values(hit.payload or {}, self._path))
        if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
            return []
        return list(dict.fromkeys(values))


def _parse_path(path: str) -> list[tuple[str, str | None]]:
    """Parse ``a.b[].c`` into names and indexes: ``[("a", None), ("b", None), ("", ""), ("c", None)]``."""
    steps = [
        ("", match["index"]) if match["index"] is not None else (match["quoted"] or match["name"], None)
        for match in _STEP.finditer(path)
    ]
    if not steps or not steps[0][0]:
        raise InvalidArgument(f"`{path}` is not a valid path for group_by")
    return steps


def _values(payload: Any, path: list[tuple[str, str | None]]) -> Iterator[Any]:
    """Yield the values at the path; a list there yields its items."""
    if not path:
        yield from payload if isinstance(payload, list) else [payload]
        return
    (name, index), rest = path[0], path[1:]
    if index is None:
        if isinstance(payload, dict) and name in payload:
            yield from _values(payload[name], rest)
    elif isinstance(payload, list):
        for item in payload[int(index) : int(index) + 1] if index else payload:
            yield from _values(item, rest)


def _build_result(
    shard: edge.EdgeShard, request: pb.QueryPointGroups, groups: dict[Key, list[edge.ScoredPoint]]
) -> pb.GroupsResult:
    ids = list(dict.fromkeys(hit.id for hits in groups.values() for hit in hits))
    records = shard.retrieve(ids, with_payload(request.with_payload), with_vectors(request.with_vectors))
    records_by_id = {record.id: record for record in records}
    return pb.GroupsResult(
        groups=[
            pb.PointGroup(id=_group_id(key), hits=[scored_point_with(hit, records_by_id[hit.id]) for hit in hits])
            for key, hits in groups.items()
        ]
    )


def _group_id(key: Key) -> pb.GroupId:
    if isinstance(key, str):
        return pb.GroupId(string_value=key)
    return pb.GroupId(unsigned_value=key) if key >= 0 else pb.GroupId(integer_value=key)

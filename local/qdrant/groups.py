"""Search by groups, which the engine has not: the best ``limit`` groups, each with its best ``group_size`` hits.

Two steps, both in the engine's own order. First the ranking is read from its top, further each time, until it names
``limit`` groups or ends. Then a group that is not full yet is asked for on its own. Reading on until every group is
full would give the same, and read the whole collection for the sake of one small group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import Invalid, Unsupported
from local.qdrant.queries import Resolver
from local.qdrant.values import scored_of, with_payload, with_vectors

type Key = str | int

LIMIT = 10
GROUP_SIZE = 3
_GROWTH = 4
_STEP = re.compile(r'"(?P<quoted>[^"]+)"|(?P<name>[^.\[\]"]+)|\[(?P<index>\d*)\]')


def query_groups(shard: edge.EdgeShard, resolver: Resolver, request: pb.QueryPointGroups) -> pb.GroupsResult:
    """Answer ``QueryGroups``. A point with several values is in several groups; without a usable one, in none."""
    limit = request.limit if request.HasField("limit") else LIMIT
    size = request.group_size if request.HasField("group_size") else GROUP_SIZE
    if request.HasField("with_lookup"):
        raise Unsupported("with_lookup")
    if not limit or not size:
        raise Invalid("limit and group_size must be at least 1")
    search = _Search(shard, resolver, request)
    groups, complete = search.first(limit, size)
    if not complete:
        for key, hits in groups.items():
            if len(hits) < size:
                own = search.of_group(key, size)
                # The index of a field may not hold a value of another type: keep what the ranking has shown.
                groups[key] = own if len(own) > len(hits) else hits
    return _answer(shard, request, groups)


class _Search:
    """One request's query, asked at several depths."""

    def __init__(self, shard: edge.EdgeShard, resolver: Resolver, request: pb.QueryPointGroups) -> None:
        self._shard = shard
        self._resolver = resolver
        self._request = request
        self._path = _steps(request.group_by)
        self._grouped = edge.Filter(must_not=[edge.IsEmptyCondition(request.group_by)])

    def first(self, limit: int, size: int) -> tuple[dict[Key, list[edge.ScoredPoint]], bool]:
        """The first ``limit`` groups of the ranking, best first, and whether their hits are all there are to find."""
        everything = self._shard.count(edge.CountRequest())
        # A fusion ranks what its prefetches found: a deeper or narrower question would change the ranking itself.
        depth = everything if self._request.prefetch else limit * size * _GROWTH
        while True:
            hits = self._ask(depth, self._grouped)
            groups = self._split(hits, limit, size)
            ended = len(hits) < depth or depth >= everything
            if ended or len(groups) == limit:
                return groups, ended
            depth *= _GROWTH

    def of_group(self, key: Key, size: int) -> list[edge.ScoredPoint]:
        same = edge.FieldCondition(self._request.group_by, match=edge.MatchValue(key))
        # A point that is left out of every group for one bad value would take a place here: ask for some more.
        hits = self._ask(size * _GROWTH, edge.Filter(must=[same]))
        return [hit for hit in hits if key in self._keys(hit)][:size]

    def _ask(self, depth: int, also: edge.Filter) -> list[edge.ScoredPoint]:
        seen = edge.PayloadSelector.Include([self._path[0][0]])
        request = self._resolver.request(self._request, limit=depth, also=also, with_payload=seen, with_vector=False)
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
        """The groups of a point. As in Qdrant, one value that is neither text nor integer leaves it out of all."""
        values = list(_values(hit.payload or {}, self._path))
        if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
            return []
        return list(dict.fromkeys(values))


def _steps(path: str) -> list[tuple[str, str | None]]:
    """``a.b[].c`` as names and indexes: ``[("a", None), ("b", None), ("", ""), ("c", None)]``."""
    steps = [
        ("", match["index"]) if match["index"] is not None else (match["quoted"] or match["name"], None)
        for match in _STEP.finditer(path)
    ]
    if not steps or not steps[0][0]:
        raise Invalid(f"`{path}` is no path to group by")
    return steps


def _values(payload: Any, path: list[tuple[str, str | None]]) -> Iterator[Any]:
    """What stands at the path; a list there counts as its items."""
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


def _answer(
    shard: edge.EdgeShard, request: pb.QueryPointGroups, groups: dict[Key, list[edge.ScoredPoint]]
) -> pb.GroupsResult:
    ids = list(dict.fromkeys(hit.id for hits in groups.values() for hit in hits))
    records = shard.retrieve(ids, with_payload(request.with_payload), with_vectors(request.with_vectors))
    stored = {record.id: record for record in records}
    return pb.GroupsResult(
        groups=[
            pb.PointGroup(id=_group_id(key), hits=[scored_of(hit, stored[hit.id]) for hit in hits])
            for key, hits in groups.items()
        ]
    )


def _group_id(key: Key) -> pb.GroupId:
    if isinstance(key, str):
        return pb.GroupId(string_value=key)
    return pb.GroupId(unsigned_value=key) if key >= 0 else pb.GroupId(integer_value=key)

"""The HTTP contract of vectors: filters and searches."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr, model_validator

from email_sender.vectors.model import (
    MAX_LIMIT,
    MAX_SEARCHES,
    Condition,
    Example,
    Filter,
    Found,
    Group,
    Hit,
    Nearest,
    Question,
    Recommend,
    Search,
    Strategy,
    Words,
)
from vectors.schemas import Body, ClientIdIn, EncodedVector, Text, Vector

_MAX_CONDITIONS = 50
_MAX_EXAMPLES = 50

Scalar = StrictStr | StrictInt | StrictBool


class MatchIn(Body):
    value: Scalar | None = None
    any: Annotated[list[Scalar], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.any is None):
            raise ValueError("A match has exactly one of value and any.")
        return self


class RangeIn(Body):
    gt: float | datetime | None = None
    gte: float | datetime | None = None
    lt: float | datetime | None = None
    lte: float | datetime | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        bounds = [each for each in (self.gt, self.gte, self.lt, self.lte) if each is not None]
        if not bounds:
            raise ValueError("A range has at least one of gt, gte, lt and lte.")
        if len({isinstance(each, datetime) for each in bounds}) > 1:
            raise ValueError("A range's bounds are all numbers or all times.")
        return self


class ConditionIn(Body):
    key: Annotated[str, Field(min_length=1, max_length=200)]
    match: MatchIn | None = None
    range: RangeIn | None = None
    exists: StrictBool | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.match, self.range, self.exists)) != 1:
            raise ValueError("A condition has exactly one of match, range and exists.")
        return self

    def condition(self) -> Condition:
        if self.match is not None:
            return Condition(self.key, any_of=self.match.any or [self.match.value])  # type: ignore[list-item]
        if self.range is not None:
            return Condition(self.key, gt=self.range.gt, gte=self.range.gte, lt=self.range.lt, lte=self.range.lte)
        return Condition(self.key, exists=self.exists)


Conditions = Annotated[list[ConditionIn], Field(max_length=_MAX_CONDITIONS)]


class FilterIn(Body):
    must: Conditions = Field(default_factory=list)
    should: Conditions = Field(default_factory=list)
    must_not: Conditions = Field(default_factory=list)

    def filter(self) -> Filter:
        return Filter(
            [each.condition() for each in self.must],
            [each.condition() for each in self.should],
            [each.condition() for each in self.must_not],
        )


class ExampleIn(Body):
    """A point's own vector, where it is not one of the collection."""

    vector: Vector = None
    vector_b64: EncodedVector = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.vector is None) == (self.vector_b64 is None):
            raise ValueError("An example is a point's id, or has exactly one of vector and vector_b64.")
        return self


Examples = Annotated[list[ClientIdIn | ExampleIn], Field(max_length=_MAX_EXAMPLES)]


class RecommendIn(Body):
    """Points like `positive` and unlike `negative`, each a point's id or a vector. Points named by id are not found."""

    positive: Annotated[Examples, Field(min_length=1)]
    negative: Examples = Field(default_factory=list)
    strategy: Strategy = Strategy.AVERAGE

    def question(self) -> Recommend:
        return Recommend(
            [_example(each) for each in self.positive], [_example(each) for each in self.negative], self.strategy
        )


def _example(given: UUID | int | ExampleIn) -> Example:
    if not isinstance(given, ExampleIn):
        return given
    example: Example = given.vector if given.vector is not None else given.vector_b64
    return example


class SearchOptions(Body):
    """Exactly one of `vector`, `vector_b64`, `text` and `recommend` says what is looked for.

    `hybrid` ranks by the words of `text` too; the scores are then of the fused ranks.
    """

    vector: Vector = None
    vector_b64: EncodedVector = None
    text: Text | None = None
    recommend: RecommendIn | None = None
    hybrid: bool = False
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    filter: FilterIn = Field(default_factory=FilterIn)
    group_by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    group_size: Annotated[int, Field(ge=1, le=20)] = 3
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    with_payload: bool = True
    with_vector: bool = False
    exact: bool = False
    hnsw_ef: Annotated[int, Field(ge=1, le=4096)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.vector, self.vector_b64, self.text, self.recommend)) != 1:
            raise ValueError("A search has exactly one of vector, vector_b64, text and recommend.")
        if self.hybrid and self.text is None:
            raise ValueError("A hybrid search is by text: its words are the other half.")
        return self

    def search(self) -> Search[Question]:
        return Search(
            query=self._question(),
            limit=self.limit,
            filter=self.filter.filter(),
            group_by=self.group_by,
            group_size=self.group_size,
            score_threshold=self.score_threshold,
            with_payload=self.with_payload,
            with_vector=self.with_vector,
            exact=self.exact,
            hnsw_ef=self.hnsw_ef,
        )

    def _question(self) -> Question:
        if self.text is not None:
            return Words(self.text, self.hybrid)
        if self.recommend is not None:
            return self.recommend.question()
        return Nearest(self.vector if self.vector is not None else self.vector_b64)


class SearchIn(SearchOptions):
    collection: str


class SearchesIn(Body):
    collection: str
    searches: Annotated[list[SearchOptions], Field(min_length=1, max_length=MAX_SEARCHES)]


class HitOut(BaseModel):
    id: UUID | int
    score: float
    payload: dict[str, Any] | None = None
    vector: list[float] | None = None

    @classmethod
    def of(cls, hit: Hit) -> Self:
        return cls(
            id=hit.id, score=hit.score, payload=dict(hit.payload), vector=list(hit.vector) if hit.vector else None
        )


class GroupOut(BaseModel):
    key: str | int
    score: float
    hits: list[HitOut]

    @classmethod
    def of(cls, group: Group) -> Self:
        return cls(key=group.key, score=group.score, hits=[HitOut.of(hit) for hit in group.hits])


class AnswerOut(BaseModel):
    """`results`, or `groups` where the search has group_by."""

    results: list[HitOut] | None = None
    groups: list[GroupOut] | None = None
    count: int

    @classmethod
    def of(cls, search: SearchOptions, found: Found) -> Self:
        if search.group_by is not None:
            return cls(groups=[GroupOut.of(each) for each in found if isinstance(each, Group)], count=len(found))
        return cls(results=[HitOut.of(each) for each in found if isinstance(each, Hit)], count=len(found))


class SearchOut(AnswerOut):
    took_ms: float


class SearchesOut(BaseModel):
    """An answer to each search, in their order."""

    answers: list[AnswerOut]
    took_ms: float

"""Request and response bodies of searches and filters."""

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
    FoundMessage,
    Group,
    Hit,
    Nearest,
    QueryInput,
    Recommend,
    Search,
    SearchAnswer,
    Strategy,
    TextQuery,
)
from vectors_lambda.http.schemas.points import ClientIdIn, EncodedVector, Text, Vector, VectorsBody

_MAX_CONDITIONS = 50
_MAX_EXAMPLES = 50

Scalar = StrictStr | StrictInt | StrictBool


class MatchIn(VectorsBody):
    value: Scalar | None = None
    any: Annotated[list[Scalar], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _check_one_match(self) -> Self:
        if (self.value is None) == (self.any is None):
            raise ValueError("A match must have exactly one of value and any.")
        return self


class RangeIn(VectorsBody):
    gt: float | datetime | None = None
    gte: float | datetime | None = None
    lt: float | datetime | None = None
    lte: float | datetime | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        bounds = [bound for bound in (self.gt, self.gte, self.lt, self.lte) if bound is not None]
        if not bounds:
            raise ValueError("A range must have at least one of gt, gte, lt and lte.")
        if len({isinstance(bound, datetime) for bound in bounds}) > 1:
            raise ValueError("The bounds of a range must be all numbers or all times.")
        return self


class ConditionIn(VectorsBody):
    key: Annotated[str, Field(min_length=1, max_length=200)]
    match: MatchIn | None = None
    range: RangeIn | None = None
    exists: StrictBool | None = None

    @model_validator(mode="after")
    def _check_one_clause(self) -> Self:
        if sum(clause is not None for clause in (self.match, self.range, self.exists)) != 1:
            raise ValueError("A condition must have exactly one of match, range and exists.")
        return self

    def condition(self) -> Condition:
        if self.match is not None:
            return Condition(self.key, any_of=self.match.any or [self.match.value])  # type: ignore[list-item]
        if self.range is not None:
            return Condition(self.key, gt=self.range.gt, gte=self.range.gte, lt=self.range.lt, lte=self.range.lte)
        return Condition(self.key, exists=self.exists)


Conditions = Annotated[list[ConditionIn], Field(max_length=_MAX_CONDITIONS)]


class FilterIn(VectorsBody):
    must: Conditions = Field(default_factory=list)
    should: Conditions = Field(default_factory=list)
    must_not: Conditions = Field(default_factory=list)

    def filter(self) -> Filter:
        return Filter(
            [condition.condition() for condition in self.must],
            [condition.condition() for condition in self.should],
            [condition.condition() for condition in self.must_not],
        )


class ExampleIn(VectorsBody):
    """An example vector that is not a point of the collection."""

    vector: Vector = None
    vector_b64: EncodedVector = None

    @model_validator(mode="after")
    def _check_one_vector(self) -> Self:
        if (self.vector is None) == (self.vector_b64 is None):
            raise ValueError("An example must be a point's id, or have exactly one of vector and vector_b64.")
        return self


Examples = Annotated[list[ClientIdIn | ExampleIn], Field(max_length=_MAX_EXAMPLES)]


class RecommendIn(VectorsBody):
    """Find points like `positive` and unlike `negative` examples. An example is a point's id or a vector.

    Points used as examples are not returned.
    """

    positive: Annotated[Examples, Field(min_length=1)]
    negative: Examples = Field(default_factory=list)
    strategy: Strategy = Strategy.AVERAGE

    def query(self) -> Recommend:
        return Recommend(
            [_example(example) for example in self.positive],
            [_example(example) for example in self.negative],
            self.strategy,
        )


def _example(value: UUID | int | ExampleIn) -> Example:
    if not isinstance(value, ExampleIn):
        return value
    example: Example = value.vector if value.vector is not None else value.vector_b64
    return example


class SearchOptions(VectorsBody):
    """A search. Exactly one of `vector`, `vector_b64`, `text` and `recommend` is set.

    `hybrid` also ranks by the terms of `text`. Scores are then the scores of the fused ranking.

    In `message_vectors`, `text` is a question: "who …?". `include_bulk` also searches newsletters and mail of machines.
    `weak_matches` returns the nearest messages even if nobody matches.
    """

    vector: Vector = None
    vector_b64: EncodedVector = None
    text: Text | None = None
    recommend: RecommendIn | None = None
    hybrid: StrictBool = False
    include_bulk: StrictBool = False
    weak_matches: StrictBool = False
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    filter: FilterIn = Field(default_factory=FilterIn)
    group_by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    group_size: Annotated[int, Field(ge=1, le=20)] = 3
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    with_payload: StrictBool = True
    with_vector: StrictBool = False
    exact: StrictBool = False
    hnsw_ef: Annotated[int, Field(ge=1, le=4096)] | None = None

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if sum(source is not None for source in (self.vector, self.vector_b64, self.text, self.recommend)) != 1:
            raise ValueError("A search must have exactly one of vector, vector_b64, text and recommend.")
        if self.hybrid and self.text is None:
            raise ValueError("A hybrid search needs text.")
        if (self.include_bulk or self.weak_matches) and self.text is None:
            raise ValueError("include_bulk and weak_matches need text.")
        return self

    def search(self) -> Search[QueryInput]:
        return Search(
            query=self._build_query(),
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

    def _build_query(self) -> QueryInput:
        if self.text is not None:
            return TextQuery(self.text, self.hybrid, self.include_bulk, self.weak_matches)
        if self.recommend is not None:
            return self.recommend.query()
        return Nearest(self.vector if self.vector is not None else self.vector_b64)


class SearchIn(SearchOptions):
    collection: str


class SearchesIn(VectorsBody):
    collection: str
    searches: Annotated[list[SearchOptions], Field(min_length=1, max_length=MAX_SEARCHES)]


class SenderOut(BaseModel):
    name: str | None = None
    email: str | None = None


class PassageOut(BaseModel):
    """The passage that matches best. It is in the characters [start, end) of the message's text."""

    text: str
    start: int
    end: int


class FoundMessageOut(BaseModel):
    """The archived message of a hit. `kind` is `person`, `uncertain` or a kind of mail that machines write."""

    subject: str
    sender: SenderOut
    sent_at: datetime | None = None
    kind: str
    passage: PassageOut | None = None

    @classmethod
    def of(cls, message: FoundMessage) -> Self:
        passage = message.passage
        return cls(
            subject=message.subject,
            sender=SenderOut(name=message.sender_name, email=message.sender_email),
            sent_at=message.sent_at,
            kind=message.kind,
            passage=PassageOut(text=passage.text, start=passage.start, end=passage.end) if passage else None,
        )


class HitOut(BaseModel):
    """A found point. `message` is set if a question found it."""

    id: UUID | int
    score: float
    payload: dict[str, Any] | None = None
    vector: list[float] | None = None
    message: FoundMessageOut | None = None

    @classmethod
    def of(cls, hit: Hit) -> Self:
        return cls(
            id=hit.id,
            score=hit.score,
            payload=dict(hit.payload),
            vector=list(hit.vector) if hit.vector else None,
            message=FoundMessageOut.of(hit.message) if hit.message else None,
        )


class GroupOut(BaseModel):
    """Hits that share a payload value. `reason` says why a question found them."""

    key: str | int
    score: float
    reason: str | None = None
    hits: list[HitOut]

    @classmethod
    def of(cls, group: Group) -> Self:
        return cls(key=group.key, score=group.score, reason=group.reason, hits=[HitOut.of(hit) for hit in group.hits])


class PeriodOut(BaseModel):
    """The time that a question names: from `since` (included) until `until` (excluded)."""

    since: datetime | None = None
    until: datetime | None = None


class AnswerOut(BaseModel):
    """The result of a search: `groups` if the search has `group_by`, otherwise `results`.

    `nobody` says why no message answers a question. `period` is the time that the question names.
    """

    results: list[HitOut] | None = None
    groups: list[GroupOut] | None = None
    count: int
    nobody: str | None = None
    period: PeriodOut | None = None

    @classmethod
    def of(cls, search: SearchOptions, answer: SearchAnswer) -> Self:
        result = answer.result
        period = PeriodOut(since=answer.since, until=answer.until) if answer.since or answer.until else None
        is_grouped = search.group_by is not None
        return cls(
            results=None if is_grouped else [HitOut.of(hit) for hit in result if isinstance(hit, Hit)],
            groups=[GroupOut.of(group) for group in result if isinstance(group, Group)] if is_grouped else None,
            count=len(result),
            nobody=answer.nobody,
            period=period,
        )


class SearchOut(AnswerOut):
    took_ms: float


class SearchesOut(BaseModel):
    """The result of each search, in order."""

    answers: list[AnswerOut]
    took_ms: float

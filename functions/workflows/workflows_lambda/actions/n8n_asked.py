"""What n8n's nodes ask the platform for. Code of tenants ran beside them, so it may be anything."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from email_sender.errors import InvalidInput
from email_sender.security.signed_requests import Auth
from email_sender.workflows.generation import Prompt, Tool, ToolCall, Turn


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BinaryBody(_Asked):
    base64: Base64Bytes


class SandboxRequest(_Asked):
    """A request that nodes ask for."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    url: Annotated[str, Field(min_length=1, max_length=16_384)]
    headers: Annotated[dict[str, str], Field(max_length=60)] = Field(default_factory=dict)
    body: str | BinaryBody = ""
    auth: Auth | None = None
    seconds: Annotated[float, Field(gt=0, le=60)] = 30
    redirects: Annotated[int, Field(ge=0, le=10)] = 0

    @property
    def content(self) -> bytes:
        return self.body.base64 if isinstance(self.body, BinaryBody) else self.body.encode()


class AskedCall(_Asked):
    id: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    arguments: str


class AskedTurn(_Asked):
    role: Literal["user", "assistant", "tool"]
    text: str
    calls: list[AskedCall] = Field(default_factory=list)
    call_id: str = ""


class OfferedTool(_Asked):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str
    parameters: dict[str, Any]


class ModelRequest(_Asked):
    """What nodes ask a model."""

    model_config = ConfigDict(populate_by_name=True)

    turns: Annotated[list[AskedTurn], Field(min_length=1, max_length=400)]
    system: str = ""
    tools: Annotated[list[OfferedTool], Field(max_length=100)] = Field(default_factory=list)
    answer_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] = 4_096
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0

    @field_validator("turns")
    @classmethod
    def _has_user(cls, turns: list[AskedTurn]) -> list[AskedTurn]:
        if not any(turn.role == "user" for turn in turns):
            raise ValueError("a conversation needs a turn of the user")
        return turns

    def prompt(self) -> Prompt:
        turns = [
            Turn(
                turn.role,
                turn.text,
                [ToolCall(call.id, call.name, call.arguments) for call in turn.calls],
                turn.call_id,
            )
            for turn in self.turns
        ]
        tools = [Tool(tool.name, tool.description, tool.parameters) for tool in self.tools]
        return Prompt(turns, self.system, self.max_tokens, self.temperature, tools)


class RecallFields(_Asked):
    session: Annotated[str, Field(min_length=1, max_length=1_000)]
    limit: Annotated[int, Field(ge=1, le=200)]


class RecallRequest(_Asked):
    """What was said in a session."""

    recall: RecallFields


class SaidTurn(_Asked):
    role: Literal["user", "assistant"]
    text: str


class RememberFields(_Asked):
    session: Annotated[str, Field(min_length=1, max_length=1_000)]
    turns: Annotated[list[SaidTurn], Field(min_length=1, max_length=2)]


class RememberRequest(_Asked):
    """What is said in a session."""

    remember: RememberFields


class SearchFields(_Asked):
    collection: Annotated[str, Field(min_length=1, max_length=100)]
    text: Annotated[str, Field(min_length=1, max_length=8_000)]
    limit: Annotated[int, Field(ge=1, le=50)]


class SearchRequest(_Asked):
    """What a text finds in a collection of vectors."""

    search: SearchFields


class CallFields(_Asked):
    workflow: Annotated[str, Field(min_length=1, max_length=255)]
    inputs: dict[str, Any]


class CallRequest(_Asked):
    """What another workflow gives."""

    call: CallFields


class SeenFields(_Asked):
    scope: Annotated[str, Field(max_length=200)]
    place: Annotated[int, Field(ge=0, le=10_000)]
    values: Annotated[list[Annotated[str, Field(max_length=100_000)]], Field(min_length=1, max_length=200_000)]
    limit: Annotated[int, Field(ge=1, le=1_000_000)]


class SeenRequest(_Asked):
    """Which values are new to the node."""

    seen: SeenFields


class ReachedFields(_Asked):
    scope: Annotated[str, Field(max_length=210)]
    place: Annotated[int, Field(ge=0, le=10_000)]
    value: Annotated[float, Field(allow_inf_nan=False)]


class ReachedRequest(_Asked):
    """The highest value that the node has seen."""

    reached: ReachedFields


class ForgetFields(_Asked):
    scope: Annotated[str, Field(max_length=200)]
    place: Annotated[int, Field(ge=0, le=10_000)]


class ForgetRequest(_Asked):
    """Values that the node is to forget."""

    forget: ForgetFields


class MailFields(_Asked):
    id: UUID


class MailRequest(_Asked):
    """A mail that the platform received."""

    mail: MailFields


class RunFields(_Asked):
    id: UUID


class RunRequest(_Asked):
    """What a workflow gave that a step of this run called."""

    run: RunFields


_NAMED: Final = ("recall", "remember", "search", "call", "seen", "reached", "forget", "mail", "run")
_SIGNS: Final = {name: name for name in _NAMED} | {"turns": "model"}


def _kind_of(value: Any) -> str:
    found = (kind for sign, kind in _SIGNS.items() if isinstance(value, dict) and sign in value)
    return next(found, "http")


type MemoryRequest = RecallRequest | RememberRequest | SeenRequest | ReachedRequest | ForgetRequest
type OwnRequest = RunRequest | MailRequest | MemoryRequest
type AskedRequest = SandboxRequest | ModelRequest | SearchRequest | CallRequest | OwnRequest
_Tagged = Annotated[
    Annotated[SandboxRequest, Tag("http")]
    | Annotated[ModelRequest, Tag("model")]
    | Annotated[RecallRequest, Tag("recall")]
    | Annotated[RememberRequest, Tag("remember")]
    | Annotated[SearchRequest, Tag("search")]
    | Annotated[CallRequest, Tag("call")]
    | Annotated[MailRequest, Tag("mail")]
    | Annotated[RunRequest, Tag("run")]
    | Annotated[SeenRequest, Tag("seen")]
    | Annotated[ReachedRequest, Tag("reached")]
    | Annotated[ForgetRequest, Tag("forget")],
    Discriminator(_kind_of),
]
_REQUESTS: Final[TypeAdapter[list[AskedRequest]]] = TypeAdapter(list[_Tagged])


def parse_requests(requests: Sequence[Any]) -> list[AskedRequest]:
    """Raise InvalidInput, with the place, for what is no request."""
    try:
        return _REQUESTS.validate_python(requests)
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        # The first parts are the request's number and kind.
        place = ".".join(str(part) for part in detail["loc"][2:])
        raise InvalidInput(f"A node's request is invalid: {place}: {detail['msg']}.") from None

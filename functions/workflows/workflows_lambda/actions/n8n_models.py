"""Asks the deployment's text model what n8n's agents and chains ask theirs."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from email_sender.adapters.documents.json_schemas import JsonSchemaChecker
from email_sender.errors import Conflict, InvalidInput, RateLimited, Unavailable
from email_sender.security.quotas import QuotaExceeded
from email_sender.workflows.generation import SchemaMismatch, generate
from workflows_lambda.actions.ai_generate import check_schema
from workflows_lambda.actions.n8n_asked import ModelRequest
from workflows_lambda.bootstrap import model_tokens, text_model

_MAX_CHARACTERS: Final = 500_000
# A request may be repeated once for the network, and once with a correction.
_SECONDS: Final = 55.0
# About; the model tells the number afterwards.
_CHARACTERS_PER_TOKEN: Final = 4


def ask_model(tenant_id: UUID, request: ModelRequest) -> Mapping[str, Any]:
    """Return what the model answered: {text, data, calls: [{id, name, arguments}]}, or {error: a text}.

    `is_mismatch` is added to the error if what the model answered does not match the schema.

    Raises:
        InvalidInput: the conversation is too long.
        Unavailable: the model did not respond, or is throttled. The request can be repeated.
        QuotaExceeded: the tenant may use no more tokens today.
    """
    size = len(request.model_dump_json())
    if size > _MAX_CHARACTERS:
        raise InvalidInput(f"A conversation with the model has more than {_MAX_CHARACTERS:,} characters.")
    checker = JsonSchemaChecker()
    try:
        if request.answer_schema is not None:
            check_schema(request.answer_schema, checker)
    except InvalidInput as error:
        return {"error": str(error)}
    try:
        model = text_model(_SECONDS)
        with model_tokens(tenant_id, request.max_tokens + size // _CHARACTERS_PER_TOKEN) as count:
            result = generate(model, request.prompt(), request.answer_schema, checker)
            count(result.input_tokens + result.output_tokens)
    except QuotaExceeded:
        raise
    except RateLimited as error:
        raise Unavailable(str(error)) from None
    except SchemaMismatch as error:
        return {"error": str(error), "is_mismatch": True}
    except Conflict as error:
        return {"error": str(error)}
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in result.calls]
    return {"text": result.text, "data": result.data, "calls": calls}

"""Tests that the action catalogue matches the handlers that perform the actions."""

import importlib
from typing import Any

import pytest

from email_sender.kit.tasks.handler import Action as Handler
from email_sender.workflows.action_model import ActionKind
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.definition.model import ERRORS
from workflows_lambda.action_functions import FUNCTIONS

MODULES = {
    "workflows": "workflows_lambda.events.tasks",
    "messaging": "messaging_lambda.events.tasks",
    "sender": "messaging_lambda.events.email_send",
    "vectors": "vectors_lambda.events.tasks",
}


@pytest.fixture(scope="module")
def handlers() -> dict[str, dict[str, Handler]]:
    return {name: importlib.import_module(module).ACTIONS for name, module in MODULES.items()}


def test_every_action_has_a_handler_in_its_configured_function(handlers: Any) -> None:
    tasks = {action.name for action in ACTION_CATALOGUE if action.kind is ActionKind.TASK}
    assert {*FUNCTIONS} - {"run.finished"} == tasks
    assert {name: set(actions) for name, actions in handlers.items()} == {
        function: {name for name in tasks if FUNCTIONS[name] == function} for function in MODULES
    }


@pytest.mark.parametrize(
    "action", [action for action in ACTION_CATALOGUE if action.kind is ActionKind.TASK], ids=lambda action: action.name
)
def test_a_handlers_permission_and_callback_match_the_catalogue(action: Any, handlers: Any) -> None:
    handler = handlers[FUNCTIONS[action.name]][action.name]
    assert handler.waits is action.callback
    # email.send checks the permission itself, because an approval can replace it.
    assert (handler.permission or "") == ("" if action.name == "email.send" else action.permission)
    assert set(action.all_errors) <= set(ERRORS)

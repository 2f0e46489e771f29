"""What the catalogue says of the actions, and the functions that do them, are one."""

import importlib
from typing import Any

import pytest

from email_sender.kit.tasks import Action as Handler
from email_sender.workflows.catalogue import SPINE, Kind
from email_sender.workflows.definition import ERRORS
from workflows.targets import FUNCTIONS

MODULES = {
    "workflows": "workflows.tasks",
    "messaging": "messaging.tasks",
    "sender": "messaging.sender",
    "vectors": "vectors.tasks",
}


@pytest.fixture(scope="module")
def handlers() -> dict[str, dict[str, Handler]]:
    return {name: importlib.import_module(module).ACTIONS for name, module in MODULES.items()}


def test_every_action_has_a_handler_in_the_function_that_is_named_for_it(handlers: Any) -> None:
    tasks = {action.name for action in SPINE if action.kind is Kind.TASK}
    assert {*FUNCTIONS} - {"run.finished"} == tasks
    assert {name: set(known) for name, known in handlers.items()} == {
        function: {name for name in tasks if FUNCTIONS[name] == function} for function in MODULES
    }


@pytest.mark.parametrize("action", [each for each in SPINE if each.kind is Kind.TASK], ids=lambda each: each.name)
def test_permission_and_waiting_are_as_the_catalogue_says(action: Any, handlers: Any) -> None:
    handler = handlers[FUNCTIONS[action.name]][action.name]
    assert handler.waits is action.callback
    # Sending checks by itself, since an approval may stand in for the permission.
    assert (handler.permission or "") == ("" if action.name == "email.send" else action.permission)
    assert set(action.all_errors) <= set(ERRORS)

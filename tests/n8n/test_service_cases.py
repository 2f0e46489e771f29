"""Nodes that call other systems, and those for files and pages, against n8n: what it sent, and its items."""

from typing import Any

import pytest

from email_sender.workflows.n8n import item_nodes
from email_sender.workflows.n8n.export import Node
from email_sender.workflows.n8n.service_nodes import REQUEST_VERSIONS
from email_sender.workflows.n8n.services import SERVICES
from tests.n8n import service_cases

CASES = list(service_cases.cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_node_sends_what_n8n_sent_and_gives_what_it_gave(case: dict[str, Any]) -> None:
    assert service_cases.run(case) == (case["outputs"], case["error"])


def test_every_recorded_node_is_one_that_the_import_knows() -> None:
    for case in CASES:
        for raw in case["nodes"]:
            kind = raw["type"].rpartition(".")[2]
            node = Node(raw["name"], "s", kind, raw["parameters"], version=raw.get("typeVersion", 1), raw=raw)
            assert item_nodes.runs_here(node), case["id"]


def test_what_is_said_to_be_compared_was_compared() -> None:
    compared: dict[str, set[float]] = {}
    for case in CASES:
        for raw in case["nodes"]:
            compared.setdefault(raw["type"].rpartition(".")[2], set()).add(raw.get("typeVersion", 1))
    # What these nodes give is looked at with nodes that other cases compare (test_recorded_cases.py).
    del compared["set"]
    said = {name: set(service.recorded) for name, service in SERVICES.items()}
    said |= {name: set(item_nodes.RECORDED[name]) for name in item_nodes.RECORDED_LATER}
    assert compared == {**said, "httpRequest": set(REQUEST_VERSIONS)}

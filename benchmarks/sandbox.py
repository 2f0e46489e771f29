"""Nodes of n8n in the sandbox: ten over 1,000 items, a call without work, and 100,000 items in bounded memory."""

import json
import resource
import time
from itertools import pairwise
from statistics import median
from typing import Any

from sandbox_lambda import engine


def request(nodes: int, items: int) -> str:
    row: list[dict[str, Any]] = [{"name": "Items", "type": "n8n-nodes-base.manualTrigger"}]
    row += [
        {
            "name": f"Set {number}",
            "type": "n8n-nodes-base.set",
            "typeVersion": 3.4,
            "parameters": {
                "assignments": {
                    "assignments": [{"name": f"v{number}", "value": "={{ $json.n + 1 }}", "type": "number"}]
                },
                "includeOtherFields": True,
            },
        }
        for number in range(nodes)
    ]
    connections = {before["name"]: {"main": [[{"node": after["name"], "index": 0}]]} for before, after in pairwise(row)}
    given = [{"node": "Items", "outputs": [[{"n": number, "t": f"text {number}"} for number in range(items)]]}]
    workflow = {"nodes": row, "connections": connections, "settings": {"executionOrder": "v1"}}
    return json.dumps({"workflow": workflow, "given": given, "returns": [] if items > 1_000 else [row[-1]["name"]]})


def seconds(text: str, runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        engine.run(text, 60)
        times.append(time.perf_counter() - started)
    return median(times)


def measure() -> dict[str, float]:
    started = time.perf_counter()
    engine.run(request(1, 1), 60)
    return {
        "first_call_ms": (time.perf_counter() - started) * 1_000,
        "next_call_ms": seconds(request(1, 1)) * 1_000,
        "ten_nodes_1000_items_ms": seconds(request(10, 1_000)) * 1_000,
        "one_node_100000_items_ms": seconds(request(1, 100_000), 1) * 1_000,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:26} {value:10.1f}")

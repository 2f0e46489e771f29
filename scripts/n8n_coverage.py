"""Print how much of a collection of n8n workflows can be imported: python scripts/n8n_coverage.py PATH.

PATH is a folder of exports (*.json), or `data/nodes.db` of the npm package n8n-mcp, which has public templates. Every
definition that the import answers is parsed as if somebody stored it. With --bridge, nodes that only n8n can run stay
there.
"""

import argparse
import base64
import gzip
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.errors import InvalidInput
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.definition.parser import parse_definition
from email_sender.workflows.n8n.bridge import BridgeTarget
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.importer import import_n8n


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("path", type=Path)
    options.add_argument("--bridge", action="store_true", help="leave nodes that only n8n can run there")
    arguments = options.parse_args()
    path: Path = arguments.path
    bridge = BridgeTarget("https://n8n.example.com", "n8n") if arguments.bridge else None
    expressions = JsonataExpressions()
    count = whole = exact = 0
    refused: Counter[str] = Counter()
    unsupported: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for name, workflow in workflows(path):
        count += 1
        try:
            result = import_n8n(workflow, expressions, bridge)
            parse_definition(result.definition, ACTION_CATALOGUE, expressions)
        except InvalidInput as error:
            refused[
                f"{name}: {error} {[f'{problem.pointer} {problem.message}' for problem in error.problems][:2]}"[:160]
            ] += 1
            continue
        kinds = {entry.type for entry in result.report if entry.outcome is ConversionOutcome.UNSUPPORTED}
        unsupported.update(kinds)
        if len(kinds) == 1:
            alone.update(kinds)
        whole += not kinds
        exact += all(entry.outcome in (ConversionOutcome.EXACT, ConversionOutcome.DROPPED) for entry in result.report)
        if count % 200 == 0:
            print(f"{count} …", file=sys.stderr)
    print(f"{count} workflows, {sum(refused.values())} refused")
    print(f"without an unsupported node: {whole} ({whole / max(count, 1):.1%})")
    print(f"every node exact:            {exact} ({exact / max(count, 1):.1%})")
    print("Unsupported, by the number of workflows; in brackets those that lack nothing else:")
    for kind, number in unsupported.most_common(25):
        print(f"  {number:5} ({alone[kind]:3})  {kind}")
    for problem in list(refused)[:10]:
        print(problem)


def workflows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.is_dir():
        for file in sorted(path.glob("**/*.json")):
            yield file.name, json.loads(file.read_text(encoding="utf-8"))
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("select id, workflow_json, workflow_json_compressed from templates order by id")
        for number, text, compressed in rows:
            yield str(number), json.loads(text or gzip.decompress(base64.b64decode(compressed)))


if __name__ == "__main__":
    main()

"""Items that are too large for the state of an execution: stored, and loaded where a step gets them."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from email_sender.kit.tasks.call import TaskCall
from email_sender.workflows.stored_items import MAX_INLINE_BYTES, reference, references_in, with_items
from workflows_lambda.bootstrap import workflow_units


def loaded[T](call: TaskCall, value: T) -> T:
    """Return a step's argument with the items of the run in place of the references to them."""
    return loaded_of_runs(call.tenant_id, [call.run_id, *call.lineage], value)


def loaded_of_runs[T](tenant_id: UUID, runs: Sequence[UUID], value: T) -> T:
    """Return the value with items of these runs in place of the references to them."""
    ids = set(references_in(value))
    if not ids:
        return value
    with workflow_units()(tenant_id) as unit:
        replaced: T = with_items(value, unit.stored_items.read(ids, runs))
    return replaced


def with_references(call: TaskCall, lists: Mapping[str, Sequence[Any]], storable: Collection[str]) -> dict[str, Any]:
    """Store those of the `storable` lists that are large, and return all lists, with references in their place.

    A step that is repeated, since it died before its result was recorded, stores its items again: what refers to the
    first ones is gone.
    """
    large = {
        name: items
        for name, items in lists.items()
        if name in storable and len(json.dumps(items).encode()) > MAX_INLINE_BYTES
    }
    ids = {name: uuid4() for name in large}
    if large:
        with workflow_units()(call.tenant_id) as unit:
            for name, items in large.items():
                unit.stored_items.add(ids[name], call.run_id, call.step, items)
            unit.commit()
    return {name: reference(ids[name], len(items)) if name in large else items for name, items in lists.items()}

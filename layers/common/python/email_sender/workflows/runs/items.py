"""The items that steps of a run stored, for people and applications to read."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from email_sender.errors import InvalidInput, NotFound
from email_sender.paging import Page
from email_sender.workflows.ports import WorkflowUnits

_MAX_DIGITS = 8


class RunItems:
    """`units` must have the tenant's keys: items are encrypted."""

    def __init__(self, units: WorkflowUnits) -> None:
        self._units = units

    def page(
        self, tenant_id: UUID, run_id: UUID, items_id: UUID, cursor: str | None, limit: int
    ) -> Page[Mapping[str, Any]]:
        """Return items of a list, in their order.

        Raises:
            NotFound: the run does not exist, or has no such items (any more).
            InvalidInput: the cursor is none of this list.
        """
        first = _place(cursor)
        with self._units(tenant_id) as unit:
            run = unit.runs.get(run_id)
            if run is None:
                raise NotFound("Run not found.")
            items = unit.stored_items.page(items_id, [run.id, *run.lineage], first, limit + 1)
        if not items and first == 0:
            raise NotFound("The run has no such items. They are removed with the content of the run.")
        return Page(items[:limit], str(first + limit) if len(items) > limit else None)


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _MAX_DIGITS):
        raise InvalidInput.at("query:cursor", "Invalid cursor. Use next_cursor of the previous page.")
    return int(cursor)

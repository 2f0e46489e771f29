"""Plans over HTTP."""

from typing import Annotated, Self

from pydantic import BaseModel, Field

from email_sender.vectors.settings import Plan
from vectors.schemas import Body


class ChangeOut(BaseModel):
    """`live`: applying the plan makes it so. Otherwise only a collection made anew can have it."""

    collection: str
    setting: str
    stored: str | int | bool | None
    wanted: str | int | bool | None
    live: bool


class PlanOut(BaseModel):
    """`id` names exactly these changes; applying takes it, so that nothing is changed that was not shown."""

    id: str
    changes: list[ChangeOut]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        listed = [
            ChangeOut(collection=name, setting=each.setting, stored=each.stored, wanted=each.wanted, live=each.live)
            for name, changes in plan.changes.items()
            for each in changes
        ]
        return cls(id=plan.id, changes=listed)


class ApplyIn(Body):
    plan: Annotated[str, Field(min_length=1, max_length=64)]

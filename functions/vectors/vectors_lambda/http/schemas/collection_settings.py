"""Request and response bodies of the collection settings."""

from typing import Annotated, Self

from pydantic import BaseModel, Field

from email_sender.vectors.collection_settings import SettingsPlan
from vectors_lambda.http.schemas.points import VectorsBody


class ChangeOut(BaseModel):
    """A difference from the configuration. If `live` is false, only a new collection can have the wanted value."""

    collection: str
    setting: str
    stored: str | int | bool | None
    wanted: str | int | bool | None
    live: bool


class PlanOut(BaseModel):
    """A plan of changes. Pass `id` to apply exactly these changes."""

    id: str
    changes: list[ChangeOut]

    @classmethod
    def of(cls, plan: SettingsPlan) -> Self:
        rows = [
            ChangeOut(
                collection=name, setting=change.setting, stored=change.stored, wanted=change.wanted, live=change.live
            )
            for name, changes in plan.changes.items()
            for change in changes
        ]
        return cls(id=plan.id, changes=rows)


class ApplyIn(VectorsBody):
    plan: Annotated[str, Field(min_length=1, max_length=64)]

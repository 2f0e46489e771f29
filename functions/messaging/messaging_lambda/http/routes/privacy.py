"""Routes for what a person may ask of a tenant: their data, and its erasure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.messaging.model import Erasure
from email_sender.messaging.privacy import PersonalData, PrivacyService
from email_sender.security.permissions import Permission, Role
from messaging_lambda.bootstrap import privacy_service
from messaging_lambda.http.routes.consents import ConsentOut
from messaging_lambda.http.schemas import ContactOut, DraftOut, EmailOut, MessageOut, SuppressionOut

# Not idempotent by key, because a stored answer would hold what is to be erased. Repeats are harmless.
router = APIRouter(tags=["privacy"])
Service = Annotated[PrivacyService, depends_on(privacy_service)]
Admin = Annotated[Principal, Depends(Requires(Permission.TENANT_MANAGE))]

# What nobody can erase, and when it expires by itself.
_REMAINS = {
    "encrypted answers to requests with an Idempotency-Key": timedelta(hours=48),
    "received mail in its bucket": timedelta(days=31),
    "histories of ended runs in Step Functions": timedelta(days=90),
}


class PersonalDataOut(BaseModel):
    """`is_complete` is false if there are more than 1,000 of a kind: the newest are here."""

    contact: ContactOut
    suppression: SuppressionOut | None
    messages: Sequence[MessageOut]
    emails: Sequence[EmailOut]
    drafts: Sequence[DraftOut]
    consents: Sequence[ConsentOut]
    exported_at: datetime
    is_complete: bool

    @classmethod
    def of(cls, data: PersonalData) -> Self:
        return cls(
            contact=ContactOut.of(data.contact, Role.ADMIN),
            suppression=SuppressionOut.of(data.suppression, Role.ADMIN) if data.suppression else None,
            messages=[MessageOut.of(message) for message in data.messages],
            emails=[EmailOut.of(email) for email in data.emails],
            drafts=[DraftOut.of(draft) for draft in data.drafts],
            consents=[ConsentOut.of(consent) for consent in data.consents],
            exported_at=data.exported_at,
            is_complete=data.is_complete,
        )


class ErasureOut(BaseModel):
    """`erased` has the number of erased rows by kind. `points_and_files_erased_at` is null while they are being erased.

    `remains` says until when something is left that cannot be erased. Backups from before the erasure expire by
    themselves; since `restores_erase_since`, a restore erases the person again.
    """

    contact_id: UUID
    erased_by: str
    erased_at: datetime
    erased: Mapping[str, int]
    points_and_files_erased_at: datetime | None
    restores_erase_since: datetime | None
    remains: Mapping[str, datetime]

    @classmethod
    def of(cls, erasure: Erasure) -> Self:
        return cls(
            contact_id=erasure.contact_id,
            erased_by=erasure.erased_by,
            erased_at=erasure.erased_at,
            erased=erasure.counts,
            points_and_files_erased_at=erasure.cleaned_at,
            restores_erase_since=erasure.recorded_at,
            remains={name: erasure.erased_at + kept for name, kept in _REMAINS.items()},
        )


@router.post("/contacts/{contact_id}/export")
async def export_contact(contact_id: UUID, caller: Admin, service: Service) -> PersonalDataOut:
    """Export all that is stored about a contact. The export is in the audit log."""
    return PersonalDataOut.of(service.export(caller.tenant_id, contact_id))


@router.post("/contacts/{contact_id}/erase")
async def erase_contact(contact_id: UUID, caller: Admin, service: Service) -> ErasureOut:
    """Erase a person. Nobody can import or mail them again; only a keyed hash of the address stays."""
    return ErasureOut.of(service.erase(caller.tenant_id, contact_id))


@router.get("/contacts/{contact_id}/erasure")
async def get_erasure(contact_id: UUID, caller: Admin, service: Service) -> ErasureOut:
    """Get the receipt of an erasure."""
    return ErasureOut.of(service.erasure(caller.tenant_id, contact_id))

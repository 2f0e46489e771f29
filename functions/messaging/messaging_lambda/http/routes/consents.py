"""Routes of what people consented to."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.schemas import Listing
from email_sender.messaging.consents import ConsentService
from email_sender.messaging.model import Consent
from email_sender.security.permissions import Permission
from messaging_lambda.bootstrap import consent_service

router = APIRouter(prefix="/contacts", tags=["privacy"], route_class=IdempotentRoute)
Service = Annotated[ConsentService, depends_on(consent_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]
Label = Annotated[str, Field(min_length=1, max_length=200)]


class ConsentIn(BaseModel):
    """`purpose`: for what, such as `newsletter`. `source`: how, such as `web form`. `proof`: what shows it."""

    model_config = ConfigDict(extra="forbid")

    purpose: Label
    source: Label
    given_at: AwareDatetime
    proof: Annotated[str, Field(max_length=10_000)] = ""


class WithdrawalIn(BaseModel):
    """`withdrawn_at` is now, if it is left out."""

    model_config = ConfigDict(extra="forbid")

    withdrawn_at: AwareDatetime | None = None


class ConsentOut(BaseModel):
    id: UUID
    contact_id: UUID
    purpose: str
    source: str
    proof: str
    given_at: datetime
    withdrawn_at: datetime | None

    @classmethod
    def of(cls, consent: Consent) -> Self:
        return cls(
            id=consent.id,
            contact_id=consent.contact_id,
            purpose=consent.purpose,
            source=consent.source,
            proof=consent.proof,
            given_at=consent.given_at,
            withdrawn_at=consent.withdrawn_at,
        )


@router.get("/{contact_id}/consents")
async def list_consents(contact_id: UUID, caller: Reader, service: Service) -> Listing[ConsentOut]:
    """List what a contact consented to, newest first."""
    found = service.of_contact(caller.tenant_id, contact_id)
    return Listing(items=[ConsentOut.of(consent) for consent in found], next_cursor=None)


@router.post("/{contact_id}/consents", status_code=201)
async def record_consent(
    request: Request, contact_id: UUID, body: ConsentIn, caller: Writer, service: Service
) -> ConsentOut:
    """Record a consent."""
    consent = Consent(operation_id(request), contact_id, body.purpose, body.source, body.proof, body.given_at)
    return ConsentOut.of(service.record(caller.tenant_id, consent))


@router.post("/{contact_id}/consents/{consent_id}/withdraw")
async def withdraw_consent(
    contact_id: UUID, consent_id: UUID, body: WithdrawalIn, caller: Writer, service: Service
) -> ConsentOut:
    """Record that a consent was withdrawn. To send the person nothing more, suppress the address too."""
    return ConsentOut.of(service.withdraw(caller.tenant_id, contact_id, consent_id, body.withdrawn_at))

"""What a person may ask of a tenant: their data, its erasure, and what they consented to."""

from datetime import UTC, date, datetime, time
from uuid import UUID

from fastapi.responses import Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn
from email_sender.kit.system_clock import now

router = page_router()


@router.get("/contacts/{contact_id}/privacy")
async def privacy(visitor: SignedIn, contact_id: UUID) -> Response:
    contact, consents = visitor.api.get_all((f"/contacts/{contact_id}", {}), (f"/contacts/{contact_id}/consents", {}))
    today = now().date().isoformat()
    return visitor.page("privacy.html", contact=contact, consents=consents["items"], today=today)


@router.post("/contacts/{contact_id}/export")
async def export(visitor: SignedIn, contact_id: UUID) -> Response:
    """Send all that is stored about the person, as a file."""
    answer = visitor.api.send("POST", f"/contacts/{contact_id}/export", json={})
    headers = {"content-disposition": f'attachment; filename="contact-{contact_id}.json"'}
    return Response(answer.content, media_type="application/json", headers=headers)


@router.post("/contacts/{contact_id}/erase")
async def erase(visitor: SignedIn, form: SentForm, contact_id: UUID) -> Response:
    """Erase the person, if the address was typed: nobody erases somebody else by mistake."""
    contact = visitor.api.get(f"/contacts/{contact_id}")
    back = f"/contacts/{contact_id}/privacy"
    if form.text("email").lower() != contact["email"].lower():
        detail = f"Go back and type {contact['email']} to erase this person."
        return visitor.page("problem.html", code=422, title="Nobody was erased", detail=detail, back=back)
    try:
        visitor.api.post(f"/contacts/{contact_id}/erase")
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return visitor.page("problem.html", code=409, title="Nobody was erased", detail=problem.detail, back=back)
    return visitor.go_to(f"/contacts/{contact_id}/erasure", "The person is erased.")


@router.get("/contacts/{contact_id}/erasure")
async def erasure(visitor: SignedIn, contact_id: UUID) -> Response:
    return visitor.page("erasure.html", receipt=visitor.api.get(f"/contacts/{contact_id}/erasure"))


@router.post("/contacts/{contact_id}/consents")
async def record_consent(visitor: SignedIn, form: SentForm, contact_id: UUID) -> Response:
    body = {
        "purpose": form.text("purpose"),
        "source": form.text("source"),
        "proof": form.text("proof"),
        "given_at": _time_of(form.text("given_on")).isoformat(),
    }
    visitor.api.post(f"/contacts/{contact_id}/consents", body, key=form.text("key"))
    return visitor.go_to(f"/contacts/{contact_id}/privacy", "The consent is recorded.")


@router.post("/contacts/{contact_id}/consents/{consent_id}/withdraw")
async def withdraw_consent(visitor: SignedIn, contact_id: UUID, consent_id: UUID) -> Response:
    visitor.api.post(f"/contacts/{contact_id}/consents/{consent_id}/withdraw")
    return visitor.go_to(f"/contacts/{contact_id}/privacy", "The withdrawal is recorded.")


def _time_of(day: str) -> datetime:
    """Return noon in UTC, which is the same day nearly everywhere. Today's noon may be to come: then it is midnight.

    What is no date is today.
    """
    today = now().date()
    try:
        chosen = date.fromisoformat(day)
    except ValueError:
        chosen = today
    return datetime.combine(chosen, time(0 if chosen >= today else 12), UTC)

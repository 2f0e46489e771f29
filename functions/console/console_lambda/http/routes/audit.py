"""The audit log."""

import json

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SignedIn

router = page_router()


@router.get("/audit")
async def audit(visitor: SignedIn, cursor: str = "") -> Response:
    page = visitor.api.get("/audit", cursor=cursor, limit=50)
    entries = [{**entry, "text": json.dumps(entry["details"], ensure_ascii=False)} for entry in page["items"]]
    return visitor.page("audit.html", entries=entries, next_cursor=page["next_cursor"], broken_at=page["broken_at"])

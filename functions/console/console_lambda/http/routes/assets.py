"""Files that pages load."""

from fastapi import Request
from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.rendering import FOREVER, PREFIX, assets
from email_sender.errors import NotFound

router = page_router()


@router.get("/static/{name}")
async def asset(request: Request, name: str) -> Response:
    found = assets().get(f"{PREFIX}/static/{name}")
    if found is None:
        raise NotFound("File not found.")
    headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.compressed, headers={**headers, "content-encoding": "gzip"}, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)

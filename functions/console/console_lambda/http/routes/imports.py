"""Imports of mail archives: the upload, the progress, and the messages that could not be imported."""

from uuid import UUID

from fastapi.responses import JSONResponse, Response

from console_lambda.api import ApiProblem
from console_lambda.http.page import page_router
from console_lambda.http.visitor import SentForm, SignedIn
from console_lambda.rendering import PREFIX

router = page_router()


@router.get("/imports")
async def imports(visitor: SignedIn, cursor: str = "") -> Response:
    if not visitor.may("vectors:write"):
        detail = "Your role may search the archive, but not import mail."
        return visitor.page("problem.html", code=403, title="Imports are not for you", detail=detail, back="/find")
    return visitor.page("imports.html", seen="", page=visitor.api.get("/vectors/imports", cursor=cursor, limit=20))


@router.get("/live/imports")
async def live_imports(visitor: SignedIn) -> Response:
    return visitor.live("imports_live.html", page=visitor.api.get("/vectors/imports", limit=20))


@router.post("/imports")
async def create(visitor: SignedIn, form: SentForm) -> Response:
    """Announce a file. The browser's script sends the file to the returned place, and then opens the import's page."""
    body = {"file_name": form.text("file_name"), "size_bytes": form.number("size_bytes"), "kind": "mailbox"}
    try:
        created = visitor.api.post("/vectors/imports", body, key=form.text("key"))
    except ApiProblem as problem:
        return JSONResponse({"detail": problem.detail}, problem.status)
    page = f"{PREFIX}/imports/{created['job_id']}"
    return JSONResponse({"url": created["upload"]["url"], "page": page})


@router.get("/imports/{import_id}")
async def one(visitor: SignedIn, import_id: UUID, cursor: int = -1) -> Response:
    shown = visitor.api.get(f"/vectors/imports/{import_id}", cursor=cursor, limit=50)
    return visitor.page("import.html", seen="", shown=shown)


@router.get("/live/imports/{import_id}")
async def live_one(visitor: SignedIn, import_id: UUID) -> Response:
    return visitor.live("import_live.html", shown=visitor.api.get(f"/vectors/imports/{import_id}", limit=50))

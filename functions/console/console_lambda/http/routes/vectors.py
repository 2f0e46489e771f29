"""Collections of vectors, a search in them, and their jobs."""

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SignedIn

router = page_router()


@router.get("/vectors")
async def vectors(visitor: SignedIn, collection: str = "", q: str = "") -> Response:
    requests: dict[str, tuple[str, dict[str, int]]] = {}
    if visitor.may("vectors:read"):
        requests["collections"] = ("/vectors/collections", {})
    if visitor.may("platform:read"):
        requests["jobs"] = ("/vectors/jobs", {"limit": 50})
    found = dict(zip(requests, visitor.api.get_all(*requests.values()), strict=True))
    hits = None
    if q.strip() and collection:
        body = {"collection": collection, "text": q.strip()[:2_000], "limit": 20}
        hits = visitor.api.post("/vectors/search", body)["results"]
    return visitor.page(
        "vectors.html",
        collections=found["collections"]["items"] if "collections" in found else [],
        jobs=found["jobs"]["items"] if "jobs" in found else [],
        collection=collection,
        question=q,
        hits=hits,
    )

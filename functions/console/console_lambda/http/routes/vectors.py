"""Collections of vectors, a search in them, and their jobs."""

from fastapi.responses import Response

from console_lambda.http.page import page_router
from console_lambda.http.visitor import SignedIn

router = page_router()


@router.get("/vectors")
async def vectors(visitor: SignedIn, collection: str = "", q: str = "") -> Response:
    requests: list[tuple[str, dict[str, int]]] = [("/vectors/collections", {})]
    if visitor.may("vectors:write"):
        requests.append(("/vectors/jobs", {"limit": 20}))
    collections, *jobs = visitor.api.get_all(*requests)
    hits = None
    if q.strip() and collection:
        body = {"collection": collection, "text": q.strip()[:2_000], "limit": 20}
        hits = visitor.api.post("/vectors/search", body)["results"]
    return visitor.page(
        "vectors.html",
        collections=collections["items"],
        jobs=jobs[0]["items"] if jobs else [],
        collection=collection,
        question=q,
        hits=hits,
    )

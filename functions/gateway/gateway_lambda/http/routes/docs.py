"""The OpenAPI document, merged from all areas, and a page for reading it and trying requests."""

from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from email_sender.errors import NotFound

router = APIRouter(tags=["docs"])

# Swagger UI comes with Powertools, so the page loads nothing from elsewhere.
_ASSETS = {"swagger-ui-bundle.min.js": "text/javascript", "swagger-ui.min.css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
_SCRIPT = (
    "SwaggerUIBundle({url:'openapi.json',dom_id:'#ui',deepLinking:true,persistAuthorization:false,"
    "docExpansion:'list',defaultModelsExpandDepth:0})"
)
_PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Email Sender API</title>
<link rel="stylesheet" href="docs/swagger-ui.min.css"><div id="ui"></div>
<script src="docs/swagger-ui-bundle.min.js"></script><script>{_SCRIPT}</script></html>"""


@router.get("/openapi.json", include_in_schema=False)
async def openapi() -> Response:
    """Return the committed OpenAPI document. `make check` fails if it does not match the routes."""
    return Response(_document(), media_type="application/json")


@router.get("/docs", include_in_schema=False)
async def page() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY.format(script=_script_hash())})


@router.get("/docs/{asset}", include_in_schema=False)
async def asset(asset: str) -> Response:
    if asset not in _ASSETS:
        raise NotFound("File not found.")
    content = resources.files("aws_lambda_powertools.event_handler.openapi.swagger_ui").joinpath(asset).read_bytes()
    return Response(content, media_type=_ASSETS[asset], headers={"cache-control": "public, max-age=86400"})


@cache
def _document() -> bytes:
    return (Path(__file__).parents[1] / "openapi.json").read_bytes()


@cache
def _script_hash() -> str:
    from base64 import b64encode
    from hashlib import sha256

    return b64encode(sha256(_SCRIPT.encode()).digest()).decode()

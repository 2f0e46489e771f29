"""Set up an authenticator app, which some roles need before anything else."""

from fastapi.responses import Response

from console_lambda import bootstrap
from console_lambda.api import ApiProblem
from console_lambda.http.cookies import delete_session
from console_lambda.http.page import Page, page_router
from console_lambda.http.visitor import SentForm, SignedIn, Visitor
from console_lambda.rendering import PREFIX, render

router = page_router()


@router.get("/second-factor")
async def explain(visitor: SignedIn) -> Response:
    return visitor.page("second_factor.html", secret="", picture="", uri="", problem="")


@router.post("/second-factor")
async def set_up(visitor: SignedIn) -> Response:
    setup = visitor.api.post("/auth/totp/setup", {"access_token": visitor.session.tokens.access_token})
    return _page(visitor, setup["secret"], setup["uri"])


@router.post("/second-factor/confirm")
async def confirm(visitor: SignedIn, form: SentForm) -> Response:
    body = {"access_token": visitor.session.tokens.access_token, "code": form.text("code").replace(" ", "")}
    try:
        visitor.api.post("/auth/totp/confirm", body)
    except ApiProblem as problem:
        if problem.status not in (401, 422):
            raise
        detail = "The app shows another code by now. Enter the one that it shows."
        return _page(visitor, form.text("secret"), form.text("uri"), detail)
    # The new token says that there is a second factor.
    bootstrap.sessions().close(visitor.session.secret)
    response = Page(render("go_on.html", target=bootstrap.provider().sign_out_url(), prefix=PREFIX))
    delete_session(response)
    return response


def _page(visitor: Visitor, secret: str, uri: str, problem: str = "") -> Response:
    import segno

    picture = segno.make(uri).svg_data_uri(scale=5, border=4, light="#fff")
    code = 422 if problem else 200
    return visitor.page("second_factor.html", code=code, secret=secret, picture=picture, uri=uri, problem=problem)

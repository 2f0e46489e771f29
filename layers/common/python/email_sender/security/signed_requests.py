"""Where a tenant's secret stands in a request: in headers, in the query, in the URL's path, or as a password."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, quote_plus, urlencode

from email_sender.security.bound_secrets import BoundSecret

# Stands in a URL where the secret goes.
PLACEHOLDER = "{secret}"
_NAME = re.compile(r"[\w-]{1,64}")


@dataclass(frozen=True, slots=True)
class Auth:
    """`secret` is the name of a secret. `name` is that of the header or field; without, the secret's own is used.

    `prefix` comes before the value in a header, unless the value begins with it. `bearer_too`: the value is a bearer
    token as well.
    """

    secret: str
    place: Literal["header", "query", "url", "basic", "custom"]
    name: str = ""
    prefix: str = ""
    bearer_too: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a name that no secret has."""
        if not _NAME.fullmatch(self.secret):
            raise ValueError("The name of a secret has letters, digits, _ and -, and at most 64 of them.")


def signed(
    auth: Auth, secret: BoundSecret, value: str, url: str, headers: Mapping[str, str]
) -> tuple[str, dict[str, str], list[str]]:
    """Return the URL and the headers with the value of the secret, and the texts that nobody may see.

    `value` is the secret's own, or an access token, which always stands in the header Authorization.
    """
    if secret.oauth2 is not None:
        return url, {**headers, "authorization": f"Bearer {value}"}, [value]
    if auth.place == "basic":
        encoded = base64.b64encode(f"{secret.user}:{value}".encode()).decode()
        return url, {**headers, "authorization": f"Basic {encoded}"}, [value, encoded]
    if auth.place == "custom":
        more = urlencode(secret.query)
        located = f"{url}{'&' if '?' in url else '?'}{more}" if more else url
        texts = [*secret.headers.values(), *secret.query.values()]
        return located, {**headers, **secret.headers}, [*texts, *map(quote, texts), *map(quote_plus, texts)]
    if auth.place == "url":
        return url.replace(PLACEHOLDER, quote(value, safe=":/")), dict(headers), [value]
    if auth.place == "query":
        pair = urlencode({auth.name or secret.label or "key": value})
        return f"{url}{'&' if '?' in url else '?'}{pair}", dict(headers), [value, quote(value), quote_plus(value)]
    text = value if value.startswith(auth.prefix) else auth.prefix + value
    bearer = {"authorization": f"Bearer {value}"} if auth.bearer_too else {}
    return url, {**headers, **bearer, auth.name or secret.label or "authorization": text}, [value]

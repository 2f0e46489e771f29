"""A tenant's secret goes to its hosts and nowhere else."""

import json

import pytest

from email_sender.errors import Conflict, Forbidden
from email_sender.security.bound_secrets import parse_secret

SECRET = parse_secret("crm", json.dumps({"value": "hunter2", "hosts": ["CRM.example.com", "crm.example.com:8443"]}))


@pytest.mark.parametrize(
    "url", ["https://crm.example.com/a", "https://CRM.EXAMPLE.COM:443/a", "https://crm.example.com:8443/?q=1"]
)
def test_a_secret_may_be_sent_to_its_hosts(url: str) -> None:
    SECRET.check(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://crm.example.com/", "over https only"),
        ("https://evil.example/", "not for the host evil.example"),
        ("https://crm.example.com.evil.example/", "not for the host"),
        ("https://crm.example.com:9443/", "not for the host crm.example.com:9443"),
        ("https://crm.example.com@evil.example/", "not for the host evil.example"),
        ("https://evil.example/https://crm.example.com/", "not for the host evil.example"),
        ("https://sub.crm.example.com/", "not for the host"),
        ("//crm.example.com/", "over https only"),
    ],
)
def test_a_secret_is_sent_nowhere_else(url: str, message: str) -> None:
    with pytest.raises(Forbidden, match=message) as error:
        SECRET.check(url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["hunter2", '"hunter2"', "[]", '{"value": "hunter2"}', '{"value": "hunter2", "hosts": []}',
     '{"value": "", "hosts": ["a"]}', '{"headers": {"x": 1}, "hosts": ["a"]}', '{"query": ["hunter2"], "hosts": ["a"]}',
     '{"value": "hunter2", "hosts": "a"}', '{"value": "hunter2", "hosts": [1]}'],
)  # fmt: skip
def test_a_secret_without_hosts_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(Conflict, match="not bound to hosts") as error:
        parse_secret("crm", text)
    assert "hunter2" not in str(error.value) + repr(error.value.__cause__)


def test_the_value_is_in_no_representation() -> None:
    assert "hunter2" not in repr(SECRET)

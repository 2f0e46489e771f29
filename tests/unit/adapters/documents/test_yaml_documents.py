"""Tests for reading YAML with the types that people expect."""

import pytest

from email_sender.adapters.documents.yaml_documents import read_yaml
from email_sender.errors import InvalidInput
from tests.unit.workflows.samples import OUTREACH

EXAMPLE = """
name: outreach
description: Write to people who hit a problem we solved
inputs: {type: object, required: [query], properties: {query: {type: string}}}     # JSON Schema
triggers:
  - event: {source: [crm], detail-type: [LeadCreated]}
    inputs: {query: a lead}
  - schedule: {cron: "0 9 ? * MON *", timezone: Europe/Paris}
    inputs: {query: new bugs}
  - webhook: {}
settings: {timeout: P7D}
steps:
  - id: select
    uses: vectors.search
    with: {collection: message_vectors, text: "{% $inputs.query %}", limit: 20, group_by: contact}
  - id: draft
    uses: template.render
    needs: [select]
    for_each: "{% $steps.select.groups %}"
    with: {template: intro, contact: "{% $item.key %}", evidence: "{% $item.hits.id %}"}
  - id: review
    uses: approval
    needs: [draft]
    with:
      title: "{% $count($steps.draft) & ' drafts' %}"
      drafts: "{% $steps.draft %}"
      timeout: P3D
      on_timeout: denied
  - id: send
    uses: email.send
    needs: [review]
    when: "{% $steps.review.decision = 'approved' %}"
    for_each: "{% $steps.draft %}"
    max_concurrency: 5
    retry: {max_attempts: 5, interval: PT2S, backoff: 2, on: [throttled, unavailable]}
    on_error: continue
    with: {draft: "{% $item.draft_id %}"}
"""


def test_the_yaml_example_equals_the_outreach_sample() -> None:
    assert read_yaml(EXAMPLE) == OUTREACH


def test_on_is_a_string_key_and_a_date_is_a_string() -> None:
    assert read_yaml("{on: yes, until: 2026-01-31, really: true, not: False}") == {
        "on": "yes",
        "until": "2026-01-31",
        "really": True,
        "not": False,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "'a' is duplicated (line 2)"),
        ("a: [1", "is not valid YAML"),
        ("!!python/object/apply:os.system [ls]", "is not valid YAML"),
        ("[" * 20_000, "nested deeper than 40 levels"),
        ("{a: " * 20_000, "nested deeper than 40 levels"),
        ("- " * 20_000, "nested deeper than 40 levels"),
        ("x" * 300_000, "the maximum is 262144"),
    ],
)
def test_an_invalid_document_is_rejected_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_yaml(text)
    assert words in caught.value.detail

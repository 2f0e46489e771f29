"""YAML as people mean it."""

import pytest

from email_sender.adapters.yaml_documents import read_yaml
from email_sender.errors import InvalidInput
from tests.unit.workflow_samples import OUTREACH

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


def test_the_example_is_the_one_of_the_other_tests() -> None:
    assert read_yaml(EXAMPLE) == OUTREACH


def test_on_is_a_key_and_a_date_is_a_text() -> None:
    assert read_yaml("{on: yes, until: 2026-01-31, really: true, not: False}") == {
        "on": "yes",
        "until": "2026-01-31",
        "really": True,
        "not": False,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "'a' stands twice (line 2)"),
        ("a: [1", "is not YAML"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
        ("[" * 20_000, "nested deeper than 40 levels"),
        ("{a: " * 20_000, "nested deeper than 40 levels"),
        ("- " * 20_000, "nested deeper than 40 levels"),
        ("x" * 300_000, "may have 262144"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_yaml(text)
    assert words in caught.value.detail

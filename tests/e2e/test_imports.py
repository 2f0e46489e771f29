"""Mailbox imports: repeated, broken, and files that are not mailboxes."""

import io
import zipfile

import httpx
import pytest

from local.client import ApiError
from tests.conftest import Platform
from tests.e2e import api
from tests.fakes import mailboxes


def stored_counts(platform: Platform) -> tuple[int, int, int]:
    client = platform["user@globex"]
    points = next(
        collection["count"]
        for collection in client.get("/vectors/collections")["items"]
        if collection["name"] == "message_vectors"
    )
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "globex")
    (row,) = platform.query(
        "select (select count(*) from email_sender.messages where tenant_id = %s) as messages, "
        "(select count(*) from email_sender.contacts where tenant_id = %s) as contacts",
        tenant,
        tenant,
    )
    return points, row["messages"], row["contacts"]


def test_importing_the_same_mailbox_twice_changes_nothing(platform: Platform) -> None:
    content = mailboxes.ordinary(21)
    first = api.import_mailbox(platform["user@globex"], content)
    before = stored_counts(platform)
    second = api.import_mailbox(platform["user@globex"], content)
    assert first["progress"]["stored"] == 21
    assert (second["progress"]["stored"], second["progress"]["duplicates"]) == (0, 21)
    assert stored_counts(platform) == before


def test_a_zipped_mailbox_is_unpacked_and_imported(platform: Platform) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Takeout/Mail/All mail.mbox", mailboxes.ordinary(5))
        archive.writestr("Takeout/index.html", "<html>no mail</html>")
    job = api.import_mailbox(platform["user@globex"], content.getvalue(), "takeout.zip")
    assert job["status"] == "completed", job["error"]
    assert job["progress"]["messages"] == 5


def test_a_broken_message_does_not_stop_the_others(platform: Platform) -> None:
    content = b"".join(
        [
            mailboxes.ordinary(3),
            mailboxes.no_headers(),
            mailboxes.truncated_mime(),
            mailboxes.wrong_charset(),
            mailboxes.large_attachment(),
        ]
    )
    job = api.import_mailbox(platform["user@globex"], content, seconds=120)
    assert job["status"] == "completed", job["error"]
    assert job["progress"]["messages"] == 9
    assert job["progress"]["failed"] == 1
    assert [error["message"] for error in job["errors"]["items"]] == [3]
    assert "headers" in job["errors"]["items"][0]["reason"]


@pytest.mark.parametrize("content", [mailboxes.not_an_mbox(), b"\n\n\n"], ids=["a text", "empty lines"])
def test_a_file_that_is_not_a_mailbox_fails_with_a_readable_error(platform: Platform, content: bytes) -> None:
    job = api.import_mailbox(platform["user@globex"], content)
    assert job["status"] == "failed"
    assert 10 < len(job["error"]) < 300
    assert "Traceback" not in job["error"]
    assert "{" not in job["error"]


def test_an_empty_file_is_refused_before_its_upload(platform: Platform) -> None:
    with pytest.raises(ApiError) as error:
        platform["user@globex"].post("/vectors/imports", {"file_name": "empty.mbox", "size_bytes": 0})
    assert error.value.status == 422


def test_a_file_of_another_size_than_announced_starts_no_import(platform: Platform) -> None:
    client = platform["user@globex"]
    created_import = client.post("/vectors/imports", {"file_name": "short.mbox", "size_bytes": 10})
    httpx.put(created_import["upload"]["url"], content=mailboxes.ordinary(2), timeout=30)
    later_job = api.import_mailbox(client, mailboxes.ordinary(1))
    # A later import has completed, so the event of the earlier upload has been consumed too.
    assert later_job["status"] == "completed"
    assert client.get(f"/vectors/imports/{created_import['job_id']}")["status"] == "awaiting_upload"


def test_an_object_without_an_announced_import_is_ignored(platform: Platform) -> None:
    s3 = platform.aws("s3")
    before = platform.query("select count(*) as number from email_sender.imports")
    s3.put_object(Bucket=platform.cloud.outputs["UploadsBucket"], Key="imports/not-a-uuid", Body=b"x")
    s3.put_object(
        Bucket=platform.cloud.outputs["UploadsBucket"],
        Key="imports/01930000-0000-7000-8000-0000000000ff",
        Body=b"x",
    )
    job = api.import_mailbox(platform["user@globex"], mailboxes.ordinary(1))
    assert job["status"] == "completed"
    after = platform.query("select count(*) as number from email_sender.imports")
    assert after[0]["number"] == before[0]["number"] + 1

"""Texts of archived messages, for points that are embedded by another model."""

from array import array
from collections.abc import Callable
from uuid import UUID, uuid4

from email_sender.adapters.mail_text import MailTextCleaner
from email_sender.adapters.postgres.archive_texts import ArchiveTexts
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.imports import PostgresArchiveUnits
from email_sender.adapters.qdrant.ids import CLIENT_ID, storable
from email_sender.kit.ambient import new_id, now
from email_sender.messaging.mail_message import parse
from email_sender.vectors.import_model import Archived, Import, ImportStatus
from email_sender.vectors.model import ClientId, engine_id
from email_sender.vectors.transfer import TENANT_KEY, Stored
from tests.database import Cluster

MAIL = b"""From: Ada <ada@example.org>
To: list@example.org
Message-ID: <%s@example.org>
Date: Mon, 02 Sep 2002 10:00:00 +0000
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=

%s
"""


def archived(cluster: Cluster, database: Database, tenant: UUID, text: bytes) -> UUID:
    """The id of a message that was imported."""
    upload = Import(new_id(), ImportStatus.PROCESSING, "m.mbox", 1, "k", "ann", now())
    message = parse(MAIL % (uuid4().hex.encode(), text), MailTextCleaner())
    with PostgresArchiveUnits(database, cluster.vault(database), None)(tenant) as unit:
        unit.add(upload)
        (stored,) = unit.archive(upload.id, [Archived(0, message)])
        unit.commit()
    return stored.message_id


def point(tenant: UUID, client_id: ClientId) -> Stored:
    payload = {TENANT_KEY: str(tenant), CLIENT_ID: storable(client_id)}
    return Stored(str(engine_id(tenant, "message_vectors", client_id)), array("f"), payload)


def test_each_message_has_its_text_under_its_tenants_keys(cluster: Cluster, new_tenant: Callable[[], UUID]) -> None:
    # One connection, as in a sandbox.
    database = cluster.database("app", size=1)
    ours, theirs = new_tenant(), new_tenant()
    one, other = archived(cluster, database, ours, b"the first"), archived(cluster, database, theirs, b"the second")
    points = [point(ours, one), point(theirs, other), point(ours, uuid4()), point(ours, 7), point(ours, other)]
    found = ArchiveTexts(database, cluster.vault(database)).of(points)
    # Neither what is not in the archive, nor an id of ours, nor a message of another tenant's.
    assert found == {points[0].id: "Grüße\nthe first", points[1].id: "Grüße\nthe second"}

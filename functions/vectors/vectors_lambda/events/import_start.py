"""Lambda queue handler: start an import when its upload has arrived. The queue contains object-created events."""

from functools import cache
from uuid import UUID

from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.errors import NotFound
from email_sender.kit.eventbridge_envelopes import ObjectCreated
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import import_service


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


def start(event: ObjectCreated) -> None:
    """Start the import of an uploaded object. The key names the import; the tenant is read from the import's row."""
    uploaded_object = event.detail.object
    import_name, _, part = uploaded_object.key.removeprefix("imports/").partition("/")
    try:
        import_id = UUID(import_name)
    except ValueError:
        logger.warning("uploaded object has no import id in its key")
        return
    tenant_id = _directory().tenant_of_import(import_id)
    if tenant_id is None:
        logger.warning("uploaded object belongs to no import", import_id=str(import_id))
        return
    confirm_upload = import_service().record_payloads_upload if part == "payloads" else import_service().record_upload
    try:
        confirm_upload(tenant_id, import_id, uploaded_object.version, uploaded_object.size)
    except NotFound:
        logger.warning("import not found for uploaded object", import_id=str(import_id))


handler = queue_handler(ObjectCreated, start)

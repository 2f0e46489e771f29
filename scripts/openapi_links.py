"""Links of the OpenAPI document: which answer holds the id that another operation takes in its path."""

from typing import Any

# The operations whose answers hold the value of a path parameter, and where. An operation that creates or reads one
# resource links to all that can be done with it; a list links to the operation that gets its first element.
SOURCES: dict[str, dict[str, str]] = {
    "approval_id": {"get_approval": "/id", "list_approvals": "/items/0/id"},
    "channel_id": {"create_channel": "/id", "list_channels": "/items/0/id"},
    "contact_id": {"create_contact": "/id", "get_contact": "/id", "list_contacts": "/items/0/id"},
    "consent_id": {"record_consent": "/id", "list_consents": "/items/0/id"},
    "dashboard": {"list_dashboards": "/items/0/name"},
    "draft_id": {"get_draft": "/id", "list_drafts": "/items/0/id"},
    "email_id": {"get_email": "/id", "list_emails": "/items/0/id"},
    "import_id": {"create_import": "/job_id", "get_import": "/id", "list_imports": "/items/0/id"},
    "job_id": {
        "export_collection": "/job_id",
        "migrate_collection": "/job_id",
        "repair_messages": "/job_id",
        "get_vector_job": "/job_id",
        "list_vector_jobs": "/items/0/job_id",
    },
    "member_id": {"invite_member": "/id", "list_members": "/items/0/id"},
    "message_id": {"list_uncertain_messages": "/items/0/id"},
    "name": {"list_managers": "/items/0/name"},
    "point_id": {"insert_points": "/ids/0"},
    "quota": {"get_quotas": "/items/0/quota"},
    "run_id": {"start_run": "/id", "retry_run": "/id", "get_run": "/id", "list_runs": "/items/0/id"},
    "address": {"create_suppression": "/email", "list_suppressions": "/items/0/email"},
    "template_id": {"create_template": "/id", "get_template": "/id", "list_templates": "/items/0/id"},
    "tenant_id": {"create_tenant": "/id", "get_tenant": "/id", "list_tenants": "/items/0/id"},
    "trigger_id": {"list_triggers": "/items/0/id"},
    "webhook_id": {"create_webhook": "/id", "get_webhook": "/id", "list_webhooks": "/items/0/id"},
    "workflow_id": {"create_workflow": "/id", "get_workflow": "/id", "list_workflows": "/items/0/id"},
}
# Operations that only some of these ids suit.
SOURCES_OF_TARGET: dict[str, dict[str, str]] = {
    "get_erasure": {"erase_contact": "/contact_id"},
    "get_job": {"create_import": "/job_id", **SOURCES["job_id"]},
    "finish_migration": {"migrate_collection": "/job_id", "get_vector_job": "/job_id"},
    "roll_back_migration": {"migrate_collection": "/job_id", "get_vector_job": "/job_id"},
}
# The token in an email or of a trigger is no part of an answer, on purpose. The id of stored items stands in the result
# of a step, under a name that the workflow gives.
WITHOUT_SOURCE = frozenset({"token", "items_id"})


def add_links(paths: dict[str, Any]) -> None:
    """Add to each answer that holds an id the operations that take it."""
    operations = {
        operation["operationId"]: (path, operation) for path, item in paths.items() for operation in item.values()
    }
    # The parameters of resources that one operation gets.
    readable = {
        _path_parameters(operation)[-1] for path, operation in operations.values() if _gets_one(path, operation)
    }
    for target, (path, operation) in operations.items():
        own = _path_parameters(operation)
        if not own or WITHOUT_SOURCE.intersection(own):
            continue
        *outer, last = own
        for source, pointer in SOURCES_OF_TARGET.get(target, SOURCES[last]).items():
            source_path, source_operation = operations[source]
            # A list leads only to the resource itself, which leads on; otherwise everything would lead everywhere.
            is_detour = source.startswith("list_") and last in readable and not _gets_one(path, operation)
            if source == target or is_detour:
                continue
            # An outer id is in the path of the operation that gives the inner one.
            parameters = {name: f"$request.path.{name}" for name in outer if "{" + name + "}" in source_path}
            if len(parameters) == len(outer):
                link = {"operationId": target, "parameters": {**parameters, last: f"$response.body#{pointer}"}}
                _successful_answer(source_operation).setdefault("links", {})[target] = link


def _path_parameters(operation: dict[str, Any]) -> list[str]:
    return [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]


def _gets_one(path: str, operation: dict[str, Any]) -> bool:
    return path.endswith("}") and str(operation["operationId"]).startswith("get_")


def _successful_answer(operation: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    return answer

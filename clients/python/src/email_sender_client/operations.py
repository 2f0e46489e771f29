"""The operations of the API as methods. Generated from the OpenAPI document; do not edit."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid4

from email_sender_client import models
from email_sender_client.calls import Call, pages, pages_async, quoted

T = TypeVar("T")


class Operations(ABC):
    """Every operation of the API. Each raises `ApiError` for an answer that is an error."""

    @abstractmethod
    def send(self, call: Call[T]) -> T:
        """Make a request, and return its parsed answer."""

    def answer_callback(self, token: str, body: models.CallbackAnswerIn | Mapping[str, Any]) -> None:
        """Answer a step that waits at this callback URL.

        The step has the action http.wait_for_callback. The URL itself is the key: it is signed, and only the first answer
        counts. A repeated answer changes nothing.
        """
        self.send(
            Call(
                "POST",
                f"/hooks/callbacks/{quoted(token)}",
                None,
                body=body,
                anonymous=True,
            )
        )

    def apply_collections(
        self, body: models.ApplyIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Plan:
        """Apply a plan of collection settings.

        Makes the live changes, if the plan is still current. Returns the remaining changes, which need a new collection.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/collections/apply",
                models.Plan,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def archive_workflow(self, workflow_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Archive a workflow.

        No new runs start, and its triggers retire. Open runs continue.
        """
        self.send(
            Call(
                "DELETE",
                f"/workflows/{quoted(workflow_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def cancel_run(self, run_id: UUID | str, *, idempotency_key: str | None = None) -> models.Run:
        """Cancel a run.

        Finished steps are not undone.
        """
        return self.send(
            Call(
                "POST",
                f"/runs/{quoted(run_id)}/cancel",
                models.Run,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def check_health(self) -> models.GatewayHealth:
        """Check the health.

        Returns 503 if a dependency is down. `dependencies` is returned only with a valid token.
        """
        return self.send(
            Call(
                "GET",
                "/health",
                models.GatewayHealth,
            )
        )

    def choose_password(self, body: models.PasswordIn | Mapping[str, Any]) -> models.Tokens:
        """Choose a password in place of that of an invitation, and sign in."""
        return self.send(
            Call(
                "POST",
                "/auth/password",
                models.Tokens,
                body=body,
                anonymous=True,
            )
        )

    def classify_message(
        self,
        message_id: UUID | str,
        body: models.MessageClassIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Message:
        """Decide who wrote an uncertain message.

        A person's message answers its email, and a wait for it goes on.
        """
        return self.send(
            Call(
                "PUT",
                f"/messages/{quoted(message_id)}/class",
                models.Message,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def compare_workflow_versions(self, workflow_id: UUID | str, before: int, after: int) -> models.Difference:
        """Compare two versions of a workflow."""
        return self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/diff",
                models.Difference,
                query={
                    "before": before,
                    "after": after,
                },
            )
        )

    def confirm_totp(self, body: models.ConfirmationIn | Mapping[str, Any]) -> None:
        """Confirm the authenticator app with a code of it.

        Every sign-in needs a code from then on; sign in again now.
        """
        self.send(
            Call(
                "POST",
                "/auth/totp/confirm",
                None,
                body=body,
                anonymous=True,
            )
        )

    def create_channel(
        self,
        body: models.MailChannelIn | models.WebhookChannelIn | models.LogChannelIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.NewChannel:
        """Create a channel.

        Returns 409 if the name is already used or there are too many channels.
        """
        return self.send(
            Call(
                "POST",
                "/notifications/channels",
                models.NewChannel,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_contact(
        self, body: models.ContactIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Contact:
        """Add a contact.

        Returns 409 if the tenant already has the address.
        """
        return self.send(
            Call(
                "POST",
                "/contacts",
                models.Contact,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_contacts(
        self, body: models.ContactsIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.AddedContacts:
        """Add up to 1,000 contacts.

        Returns what became of each: `added`, `exists`, `invalid` or `erased`. With `dry_run`,
        nothing is stored. Repeating the request adds nobody twice.
        """
        return self.send(
            Call(
                "POST",
                "/contacts/bulk",
                models.AddedContacts,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_import(
        self,
        body: models.MailboxImportIn | models.VectorsImportIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.ImportCreated:
        """Create an import.

        Announces a mailbox (mbox) or a file of vectors. PUT the file to the returned URL to start the import. With
        `payloads` there are two URLs, and the import starts when both files have been uploaded.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/imports",
                models.ImportCreated,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_suppression(
        self, body: models.SuppressionIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Suppression:
        """Suppress an address.

        It receives no more mail. Repeating the request changes nothing.
        """
        return self.send(
            Call(
                "POST",
                "/suppressions",
                models.Suppression,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_template(
        self, body: models.TemplateIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Template:
        """Create a template.

        The error for an undeclared variable names the variable.
        """
        return self.send(
            Call(
                "POST",
                "/templates",
                models.Template,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_tenant(
        self, body: models.TenantIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Create a tenant.

        Returns 409 if another tenant has the name. Then invite its first admin.
        """
        return self.send(
            Call(
                "POST",
                "/tenants",
                models.Tenant,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_webhook(
        self, body: models.WebhookIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.NewWebhook:
        """Create a webhook.

        From now on, each event of these types is posted to the URL, at least once.
        """
        return self.send(
            Call(
                "POST",
                "/webhooks",
                models.NewWebhook,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def create_workflow(
        self, body: models.WorkflowIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Workflow:
        """Create a workflow.

        If the definition has problems, each is reported with a pointer, and nothing is stored.
        """
        return self.send(
            Call(
                "POST",
                "/workflows",
                models.Workflow,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def decide_approval(
        self,
        approval_id: UUID | str,
        body: models.DecisionIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Approval:
        """Decide an approval.

        Repeating the same decision has no effect; a different decision is a conflict. The emails of
        drafts that are left out are rejected. With `seen`, a draft that was edited meanwhile makes it a conflict.
        """
        return self.send(
            Call(
                "POST",
                f"/approvals/{quoted(approval_id)}",
                models.Approval,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_channel(self, channel_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a channel.

        Notifications that are not yet delivered to it are dropped.
        """
        self.send(
            Call(
                "DELETE",
                f"/notifications/channels/{quoted(channel_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_contact(self, contact_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a contact.

        Its messages, drafts, emails and search points are deleted too. A suppression stays.
        """
        self.send(
            Call(
                "DELETE",
                f"/contacts/{quoted(contact_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_point(
        self,
        point_id: str,
        *,
        collection: Literal["task_vectors", "document_vectors", "message_vectors"] | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Delete a point."""
        self.send(
            Call(
                "DELETE",
                f"/vectors/{quoted(point_id)}",
                None,
                query={
                    "collection": collection,
                },
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_suppression(self, address: str, *, idempotency_key: str | None = None) -> None:
        """Remove a suppression.

        The address can receive mail again.
        """
        self.send(
            Call(
                "DELETE",
                f"/suppressions/{quoted(address)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_template(self, template_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a template.

        Its drafts stay.
        """
        self.send(
            Call(
                "DELETE",
                f"/templates/{quoted(template_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_tenant(
        self, tenant_id: UUID | str, body: models.DeletionIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Delete a tenant.

        It is suspended now, and deleted in seven days.

        Its key is destroyed then: nobody can read its people's addresses, its messages and its secrets, not in a backup
        either.
        """
        return self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/delete",
                models.Tenant,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def delete_webhook(self, webhook_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a webhook, with the log of its deliveries."""
        self.send(
            Call(
                "DELETE",
                f"/webhooks/{quoted(webhook_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def enter_totp_code(self, body: models.CodeIn | Mapping[str, Any]) -> models.Tokens:
        """Enter a code of the authenticator app, and sign in."""
        return self.send(
            Call(
                "POST",
                "/auth/totp",
                models.Tokens,
                body=body,
                anonymous=True,
            )
        )

    def erase_contact(self, contact_id: UUID | str) -> models.Erasure:
        """Erase a person.

        Nobody can import or mail them again; only a keyed hash of the address stays.
        """
        return self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/erase",
                models.Erasure,
            )
        )

    def export_collection(
        self, body: models.ExportIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Job:
        """Export a collection.

        Writes all points of the collection to the bucket.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/jobs/exports",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def export_contact(self, contact_id: UUID | str) -> models.PersonalData:
        """Export all that is stored about a contact.

        The export is in the audit log.
        """
        return self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/export",
                models.PersonalData,
            )
        )

    def finish_migration(self, job_id: UUID | str, *, idempotency_key: str | None = None) -> models.Job:
        """Finish a migration.

        Drops the old collection. The migration can no longer be rolled back.
        """
        return self.send(
            Call(
                "POST",
                f"/vectors/jobs/{quoted(job_id)}/finish",
                models.Job,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def get_approval(self, approval_id: UUID | str) -> models.Approval:
        """Get an approval."""
        return self.send(
            Call(
                "GET",
                f"/approvals/{quoted(approval_id)}",
                models.Approval,
            )
        )

    def get_contact(self, contact_id: UUID | str) -> models.Contact:
        """Get a contact."""
        return self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}",
                models.Contact,
            )
        )

    def get_dashboard(self, dashboard: str, *, hours: int | None = None) -> models.Dashboard:
        """Get a dashboard with the figures of the last hours.

        They are at most a minute old.
        """
        return self.send(
            Call(
                "GET",
                f"/dashboards/{quoted(dashboard)}",
                models.Dashboard,
                query={
                    "hours": hours,
                },
            )
        )

    def get_draft(self, draft_id: UUID | str) -> models.Draft:
        """Get a draft.

        It is shown as it would be sent.
        """
        return self.send(
            Call(
                "GET",
                f"/drafts/{quoted(draft_id)}",
                models.Draft,
            )
        )

    def get_email(self, email_id: UUID | str) -> models.Email:
        """Get an email."""
        return self.send(
            Call(
                "GET",
                f"/emails/{quoted(email_id)}",
                models.Email,
            )
        )

    def get_email_statistics(self, *, weeks: int | None = None) -> models.Statistics:
        """Count emails by week and workflow.

        Returns how many were delivered, bounced and answered.
        """
        return self.send(
            Call(
                "GET",
                "/emails/statistics",
                models.Statistics,
                query={
                    "weeks": weeks,
                },
            )
        )

    def get_email_story(self, email_id: UUID | str) -> models.MessagingStory:
        """Get the story of an email.

        Returns its workflow and version, evidence, approval, claim, reports and replies.
        """
        return self.send(
            Call(
                "GET",
                f"/emails/{quoted(email_id)}/story",
                models.MessagingStory,
            )
        )

    def get_erasure(self, contact_id: UUID | str) -> models.Erasure:
        """Get the receipt of an erasure."""
        return self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}/erasure",
                models.Erasure,
            )
        )

    def get_hook_result(
        self,
        token: str,
        run_id: UUID | str,
        *,
        webhook_id: str | None = None,
        webhook_timestamp: str | None = None,
        webhook_signature: str | None = None,
        secret: str | None = None,
    ) -> models.HookResult:
        """Get the result of a run that a webhook started.

        The request is signed over an empty body, or has the secret.
        """
        return self.send(
            Call(
                "GET",
                f"/hooks/{quoted(token)}/runs/{quoted(run_id)}",
                models.HookResult,
                query={
                    "secret": secret,
                },
                headers={
                    "webhook-id": webhook_id,
                    "webhook-timestamp": webhook_timestamp,
                    "webhook-signature": webhook_signature,
                },
                anonymous=True,
            )
        )

    def get_import(
        self, import_id: UUID | str, *, limit: int | None = None, cursor: int | None = None
    ) -> models.VectorsImport:
        """Get an import.

        Returns the progress, and the messages or rows that could not be imported.
        """
        return self.send(
            Call(
                "GET",
                f"/vectors/imports/{quoted(import_id)}",
                models.VectorsImport,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def get_job(self, job_id: UUID | str) -> models.AnyJob:
        """Get a job.

        A job is a run, an import, an export or a migration; `path` leads to its details.
        """
        return self.send(
            Call(
                "GET",
                f"/jobs/{quoted(job_id)}",
                models.AnyJob,
            )
        )

    def get_log_level(self) -> models.LogLevel:
        """Get the log level that is set for now."""
        return self.send(
            Call(
                "GET",
                "/log-level",
                models.LogLevel,
            )
        )

    def get_manager(self, name: str) -> models.Manager:
        """Get a manager."""
        return self.send(
            Call(
                "GET",
                f"/managers/{quoted(name)}/status",
                models.Manager,
            )
        )

    def get_manager_metrics(self, name: str) -> models.ManagerMetrics:
        """Get a manager's figures as last observed."""
        return self.send(
            Call(
                "GET",
                f"/managers/{quoted(name)}/metrics",
                models.ManagerMetrics,
            )
        )

    def get_metrics(self) -> str:
        """Get metrics.

        Returns counters, histograms and gauges of the whole platform as Prometheus text.
        """
        return self.send(
            Call(
                "GET",
                "/metrics",
                str,
            )
        )

    def get_own_tenant(self) -> models.OwnTenant:
        """Get your own tenant, with what it may use and what it has used today."""
        return self.send(
            Call(
                "GET",
                "/tenants/me",
                models.OwnTenant,
            )
        )

    def get_quotas(self, tenant_id: UUID | str) -> models.QuotaList:
        """Get the quotas of a tenant."""
        return self.send(
            Call(
                "GET",
                f"/tenants/{quoted(tenant_id)}/quotas",
                models.QuotaList,
            )
        )

    def get_retention(self) -> models.Retention:
        """Get how long the tenant keeps its data."""
        return self.send(
            Call(
                "GET",
                "/retention",
                models.Retention,
            )
        )

    def get_run(self, run_id: UUID | str) -> models.RunDetail:
        """Get a run.

        The response has the attempts, times, results and errors of its steps.
        """
        return self.send(
            Call(
                "GET",
                f"/runs/{quoted(run_id)}",
                models.RunDetail,
            )
        )

    def get_run_story(self, run_id: UUID | str) -> models.WorkflowsStory:
        """Get the story of a run.

        Returns its steps, drafts, approvals, emails and replies in order.
        """
        return self.send(
            Call(
                "GET",
                f"/runs/{quoted(run_id)}/story",
                models.WorkflowsStory,
            )
        )

    def get_settings(self) -> models.Config:
        """Get the settings.

        Use the ETag of their version as `If-Match` to change them.
        """
        return self.send(
            Call(
                "GET",
                "/config",
                models.Config,
            )
        )

    def get_status(self) -> models.GatewayStatus:
        """Get the status.

        Returns the stage, the version and the state of each dependency.
        """
        return self.send(
            Call(
                "GET",
                "/status",
                models.GatewayStatus,
            )
        )

    def get_template(self, template_id: UUID | str) -> models.Template:
        """Get a template.

        Returns the newest version.
        """
        return self.send(
            Call(
                "GET",
                f"/templates/{quoted(template_id)}",
                models.Template,
            )
        )

    def get_tenant(self, tenant_id: UUID | str) -> models.Tenant:
        """Get a tenant."""
        return self.send(
            Call(
                "GET",
                f"/tenants/{quoted(tenant_id)}",
                models.Tenant,
            )
        )

    def get_vector_job(self, job_id: UUID | str) -> models.Job:
        """Get a vector job.

        Returns the progress of each phase and a report of the counts and comparisons.
        """
        return self.send(
            Call(
                "GET",
                f"/vectors/jobs/{quoted(job_id)}",
                models.Job,
            )
        )

    def get_version(self) -> models.GatewayVersion:
        """Get the deployed version.

        Returns version, commit and build time.
        """
        return self.send(
            Call(
                "GET",
                "/version",
                models.GatewayVersion,
            )
        )

    def get_webhook(self, webhook_id: UUID | str) -> models.Webhook:
        """Get a webhook."""
        return self.send(
            Call(
                "GET",
                f"/webhooks/{quoted(webhook_id)}",
                models.Webhook,
            )
        )

    def get_workflow(self, workflow_id: UUID | str) -> models.Workflow:
        """Get a workflow at its newest version."""
        return self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}",
                models.Workflow,
            )
        )

    def get_workflow_graph(
        self, workflow_id: UUID | str, *, format: Literal["svg", "mermaid"] | None = None, run: UUID | str | None = None
    ) -> str:
        """Get a picture of a workflow.

        With `run`, it shows that run's version.
        """
        return self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/graph",
                str,
                query={
                    "format": format,
                    "run": run,
                },
            )
        )

    def import_n8n_workflow(
        self, body: models.ImportIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.WorkflowsImport:
        """Convert an n8n workflow to a definition.

        The report shows how each node was converted; nothing is stored.

        Returns 403 if the feature `n8n_import` is not enabled for the tenant.
        """
        return self.send(
            Call(
                "POST",
                "/workflows/import",
                models.WorkflowsImport,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def insert_points(
        self, body: models.InsertIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Insert:
        """Insert points.

        Writes all points, or none if one is invalid. A point with the id of an existing point replaces it.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/insert",
                models.Insert,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def invite_member(self, body: models.InvitationIn | Mapping[str, Any]) -> models.Member:
        """Invite a person.

        They get a mail with a password for the first sign-in.
        """
        return self.send(
            Call(
                "POST",
                "/members",
                models.Member,
                body=body,
            )
        )

    def invite_tenant_admin(
        self, tenant_id: UUID | str, body: models.AdminIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Member:
        """Invite an admin of a tenant.

        The person gets a mail with a password for the first sign-in.
        """
        return self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/admins",
                models.Member,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def list_actions(self) -> models.ActionList:
        """List the actions of steps.

        Each action has the schemas of a step's `with` and of its result.
        """
        return self.send(
            Call(
                "GET",
                "/workflows/actions",
                models.ActionList,
            )
        )

    def list_approvals(
        self,
        *,
        status: Literal["pending", "approved", "denied", "expired"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.ApprovalList:
        """List approvals."""
        return self.send(
            Call(
                "GET",
                "/approvals",
                models.ApprovalList,
                query={
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_approvals(
        self, *, status: Literal["pending", "approved", "denied", "expired"] | None = None
    ) -> Iterator[models.Approval]:
        """Iterate over the items of all pages of `list_approvals`."""
        return pages(lambda cursor: self.list_approvals(status=status, limit=200, cursor=cursor))

    def list_audit_entries(self, *, limit: int | None = None, cursor: str | None = None) -> models.Audit:
        """List audit log entries, newest first."""
        return self.send(
            Call(
                "GET",
                "/audit",
                models.Audit,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_audit_entries(self) -> Iterator[models.AuditEntry]:
        """Iterate over the items of all pages of `list_audit_entries`."""
        return pages(lambda cursor: self.list_audit_entries(limit=200, cursor=cursor))

    def list_channels(self) -> models.Channels:
        """List channels.

        Without any channel, notifications go to the log.
        """
        return self.send(
            Call(
                "GET",
                "/notifications/channels",
                models.Channels,
            )
        )

    def list_collections(self) -> models.Collections:
        """List collections.

        Returns each collection with the number of the tenant's points in it.
        """
        return self.send(
            Call(
                "GET",
                "/vectors/collections",
                models.Collections,
            )
        )

    def list_consents(self, contact_id: UUID | str) -> models.ConsentList:
        """List what a contact consented to, newest first."""
        return self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}/consents",
                models.ConsentList,
            )
        )

    def list_contact_messages(
        self, contact_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> models.MessageList:
        """List a contact's messages.

        The newest come first.
        """
        return self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}/messages",
                models.MessageList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_contact_messages(self, contact_id: UUID | str) -> Iterator[models.Message]:
        """Iterate over the items of all pages of `list_contact_messages`."""
        return pages(lambda cursor: self.list_contact_messages(contact_id=contact_id, limit=200, cursor=cursor))

    def list_contacts(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        id: Sequence[UUID | str] | None = None,
        email: str | None = None,
        q: str | None = None,
    ) -> models.ContactList:
        """List contacts.

        They are in the order of creation. Addresses are masked for the role readonly, whose `q` finds
        names only.
        """
        return self.send(
            Call(
                "GET",
                "/contacts",
                models.ContactList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "id": id,
                    "email": email,
                    "q": q,
                },
            )
        )

    def iterate_contacts(
        self, *, id: Sequence[UUID | str] | None = None, email: str | None = None, q: str | None = None
    ) -> Iterator[models.Contact]:
        """Iterate over the items of all pages of `list_contacts`."""
        return pages(lambda cursor: self.list_contacts(id=id, email=email, q=q, limit=200, cursor=cursor))

    def list_dashboards(self) -> models.DashboardNameList:
        """List the names of this deployment's dashboards."""
        return self.send(
            Call(
                "GET",
                "/dashboards",
                models.DashboardNameList,
            )
        )

    def list_deliveries(
        self,
        webhook_id: UUID | str,
        *,
        state: Literal["due", "sending", "delivered", "failed"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.DeliveryList:
        """List deliveries to a webhook.

        The newest come first. They are kept for 30 days.
        """
        return self.send(
            Call(
                "GET",
                f"/webhooks/{quoted(webhook_id)}/deliveries",
                models.DeliveryList,
                query={
                    "state": state,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_deliveries(
        self, webhook_id: UUID | str, *, state: Literal["due", "sending", "delivered", "failed"] | None = None
    ) -> Iterator[models.Delivery]:
        """Iterate over the items of all pages of `list_deliveries`."""
        return pages(lambda cursor: self.list_deliveries(webhook_id=webhook_id, state=state, limit=200, cursor=cursor))

    def list_drafts(self, id: Sequence[UUID | str]) -> models.DraftList:
        """List drafts by id.

        They are in the requested order, without those that do not exist.
        """
        return self.send(
            Call(
                "GET",
                "/drafts",
                models.DraftList,
                query={
                    "id": id,
                },
            )
        )

    def list_emails(
        self,
        *,
        run_id: UUID | str | None = None,
        contact_id: UUID | str | None = None,
        status: Literal[
            "queued", "sending", "sent", "unknown", "rejected", "suppressed", "delivered", "bounced", "complained"
        ]
        | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.EmailList:
        """List emails.

        The newest come first. `run_id`, `contact_id` and `status` restrict the list.
        """
        return self.send(
            Call(
                "GET",
                "/emails",
                models.EmailList,
                query={
                    "run_id": run_id,
                    "contact_id": contact_id,
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_emails(
        self,
        *,
        run_id: UUID | str | None = None,
        contact_id: UUID | str | None = None,
        status: Literal[
            "queued", "sending", "sent", "unknown", "rejected", "suppressed", "delivered", "bounced", "complained"
        ]
        | None = None,
    ) -> Iterator[models.Email]:
        """Iterate over the items of all pages of `list_emails`."""
        return pages(
            lambda cursor: self.list_emails(
                run_id=run_id, contact_id=contact_id, status=status, limit=200, cursor=cursor
            )
        )

    def list_events(
        self,
        *,
        type: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.EventsOut:
        """List the tenant's events, newest first."""
        return self.send(
            Call(
                "GET",
                "/events",
                models.EventsOut,
                query={
                    "type": type,
                    "source": source,
                    "correlation_id": correlation_id,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_events(
        self, *, type: str | None = None, source: str | None = None, correlation_id: str | None = None
    ) -> Iterator[models.Event]:
        """Iterate over the items of all pages of `list_events`."""
        return pages(
            lambda cursor: self.list_events(
                type=type, source=source, correlation_id=correlation_id, limit=200, cursor=cursor
            )
        )

    def list_failed_events(
        self,
        *,
        consumer: str | None = None,
        status: Literal["failed", "redriven", "parked"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.FailedEventsOut:
        """List failed events, latest first."""
        return self.send(
            Call(
                "GET",
                "/events/failed",
                models.FailedEventsOut,
                query={
                    "consumer": consumer,
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_failed_events(
        self, *, consumer: str | None = None, status: Literal["failed", "redriven", "parked"] | None = None
    ) -> Iterator[models.FailedEvent]:
        """Iterate over the items of all pages of `list_failed_events`."""
        return pages(lambda cursor: self.list_failed_events(consumer=consumer, status=status, limit=200, cursor=cursor))

    def list_imports(self, *, limit: int | None = None, cursor: str | None = None) -> models.ImportList:
        """List imports.

        The newest come first. Rejected messages and rows are listed by each import's own path.
        """
        return self.send(
            Call(
                "GET",
                "/vectors/imports",
                models.ImportList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_imports(self) -> Iterator[models.VectorsImport]:
        """Iterate over the items of all pages of `list_imports`."""
        return pages(lambda cursor: self.list_imports(limit=200, cursor=cursor))

    def list_keys(self) -> models.KeyList:
        """List the versions of the tenant's key, oldest first.

        Old ones are removed a day after nothing needs them.
        """
        return self.send(
            Call(
                "GET",
                "/keys",
                models.KeyList,
            )
        )

    def list_managers(self) -> models.Managers:
        """List managers.

        Their status is checked now, but at most every three seconds.
        """
        return self.send(
            Call(
                "GET",
                "/managers/status",
                models.Managers,
            )
        )

    def list_members(self, *, limit: int | None = None, cursor: str | None = None) -> models.MemberList:
        """List the members of the tenant, at most 60 at once."""
        return self.send(
            Call(
                "GET",
                "/members",
                models.MemberList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_members(self) -> Iterator[models.Member]:
        """Iterate over the items of all pages of `list_members`."""
        return pages(lambda cursor: self.list_members(limit=200, cursor=cursor))

    def list_messages(self, id: Sequence[UUID | str]) -> models.MessageList:
        """List messages by id.

        They are in the requested order. Use it to read the evidence of a search.
        """
        return self.send(
            Call(
                "GET",
                "/messages",
                models.MessageList,
                query={
                    "id": id,
                },
            )
        )

    def list_notifications(self, *, limit: int | None = None, cursor: str | None = None) -> models.NotificationList:
        """List notifications.

        The newest come first.
        """
        return self.send(
            Call(
                "GET",
                "/notifications",
                models.NotificationList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_notifications(self) -> Iterator[models.Notification]:
        """Iterate over the items of all pages of `list_notifications`."""
        return pages(lambda cursor: self.list_notifications(limit=200, cursor=cursor))

    def list_runs(
        self,
        *,
        status: Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.RunList:
        """List the runs of all workflows.

        The newest come first. `status` restricts the list.
        """
        return self.send(
            Call(
                "GET",
                "/runs",
                models.RunList,
                query={
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_runs(
        self,
        *,
        status: Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"] | None = None,
    ) -> Iterator[models.Run]:
        """Iterate over the items of all pages of `list_runs`."""
        return pages(lambda cursor: self.list_runs(status=status, limit=200, cursor=cursor))

    def list_settings_versions(self, *, limit: int | None = None, cursor: int | None = None) -> models.ConfigVersions:
        """List versions of the settings, newest first, with author, time and changes.

        At most 100 are retained.
        """
        return self.send(
            Call(
                "GET",
                "/config/history",
                models.ConfigVersions,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_settings_versions(self) -> Iterator[models.ConfigVersion]:
        """Iterate over the items of all pages of `list_settings_versions`."""
        return pages(lambda cursor: self.list_settings_versions(limit=200, cursor=cursor))

    def list_stored_items(
        self, run_id: UUID | str, items_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> models.StoredItems:
        """List items that a step stored.

        The step's result has their id, as `stored_items`.
        """
        return self.send(
            Call(
                "GET",
                f"/runs/{quoted(run_id)}/items/{quoted(items_id)}",
                models.StoredItems,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_stored_items(self, run_id: UUID | str, items_id: UUID | str) -> Iterator[Mapping[str, Any]]:
        """Iterate over the items of all pages of `list_stored_items`."""
        return pages(lambda cursor: self.list_stored_items(run_id=run_id, items_id=items_id, limit=200, cursor=cursor))

    def list_suppressions(self, *, limit: int | None = None, cursor: str | None = None) -> models.SuppressionList:
        """List suppressed addresses.

        They receive no mail. Addresses are masked for the role readonly.
        """
        return self.send(
            Call(
                "GET",
                "/suppressions",
                models.SuppressionList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_suppressions(self) -> Iterator[models.Suppression]:
        """Iterate over the items of all pages of `list_suppressions`."""
        return pages(lambda cursor: self.list_suppressions(limit=200, cursor=cursor))

    def list_templates(self, *, limit: int | None = None, cursor: str | None = None) -> models.TemplateList:
        """List templates.

        They are in the order of creation.
        """
        return self.send(
            Call(
                "GET",
                "/templates",
                models.TemplateList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_templates(self) -> Iterator[models.Template]:
        """Iterate over the items of all pages of `list_templates`."""
        return pages(lambda cursor: self.list_templates(limit=200, cursor=cursor))

    def list_tenants(self, *, limit: int | None = None, cursor: str | None = None) -> models.TenantList:
        """List tenants.

        They are in the order of creation.
        """
        return self.send(
            Call(
                "GET",
                "/tenants",
                models.TenantList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_tenants(self) -> Iterator[models.Tenant]:
        """Iterate over the items of all pages of `list_tenants`."""
        return pages(lambda cursor: self.list_tenants(limit=200, cursor=cursor))

    def list_triggers(self, workflow_id: UUID | str) -> models.TriggerList:
        """List the triggers of a workflow.

        Each trigger has its state and the outcome of its last start.
        """
        return self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/triggers",
                models.TriggerList,
            )
        )

    def list_uncertain_messages(self, *, limit: int | None = None, cursor: str | None = None) -> models.MessageList:
        """List uncertain answers.

        A program may have written them; they end no wait until somebody has looked.
        """
        return self.send(
            Call(
                "GET",
                "/messages/uncertain",
                models.MessageList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_uncertain_messages(self) -> Iterator[models.Message]:
        """Iterate over the items of all pages of `list_uncertain_messages`."""
        return pages(lambda cursor: self.list_uncertain_messages(limit=200, cursor=cursor))

    def list_unclaimed_mail(self, *, limit: int | None = None, cursor: str | None = None) -> models.UnclaimedMails:
        """List received mail that belongs to no tenant, latest first."""
        return self.send(
            Call(
                "GET",
                "/events/unclaimed-mail",
                models.UnclaimedMails,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_unclaimed_mail(self) -> Iterator[models.UnclaimedMail]:
        """Iterate over the items of all pages of `list_unclaimed_mail`."""
        return pages(lambda cursor: self.list_unclaimed_mail(limit=200, cursor=cursor))

    def list_vector_jobs(self, *, limit: int | None = None, cursor: str | None = None) -> models.Jobs:
        """List vector jobs.

        The newest job comes first.
        """
        return self.send(
            Call(
                "GET",
                "/vectors/jobs",
                models.Jobs,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_vector_jobs(self) -> Iterator[models.Job]:
        """Iterate over the items of all pages of `list_vector_jobs`."""
        return pages(lambda cursor: self.list_vector_jobs(limit=200, cursor=cursor))

    def list_webhooks(self) -> models.WebhookList:
        """List webhooks."""
        return self.send(
            Call(
                "GET",
                "/webhooks",
                models.WebhookList,
            )
        )

    def list_workflow_runs(
        self, workflow_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> models.RunList:
        """List the runs of a workflow.

        Newest first.
        """
        return self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/runs",
                models.RunList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_workflow_runs(self, workflow_id: UUID | str) -> Iterator[models.Run]:
        """Iterate over the items of all pages of `list_workflow_runs`."""
        return pages(lambda cursor: self.list_workflow_runs(workflow_id=workflow_id, limit=200, cursor=cursor))

    def list_workflow_versions(
        self, workflow_id: UUID | str, *, limit: int | None = None, cursor: int | None = None
    ) -> models.VersionList:
        """List the published versions of a workflow.

        Newest first.
        """
        return self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/versions",
                models.VersionList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_workflow_versions(self, workflow_id: UUID | str) -> Iterator[models.WorkflowsVersion]:
        """Iterate over the items of all pages of `list_workflow_versions`."""
        return pages(lambda cursor: self.list_workflow_versions(workflow_id=workflow_id, limit=200, cursor=cursor))

    def list_workflows(self, *, limit: int | None = None, cursor: str | None = None) -> models.WorkflowList:
        """List workflows.

        Oldest first.
        """
        return self.send(
            Call(
                "GET",
                "/workflows",
                models.WorkflowList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_workflows(self) -> Iterator[models.Workflow]:
        """Iterate over the items of all pages of `list_workflows`."""
        return pages(lambda cursor: self.list_workflows(limit=200, cursor=cursor))

    def migrate_collection(
        self, body: models.MigrationIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Job:
        """Migrate a collection.

        Copies the points into a new collection, compares both, and serves the new one instead of the old one.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/jobs/migrations",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def plan_collections(self) -> models.Plan:
        """Plan changes of collection settings.

        Lists where the collections differ from the configuration. Changes nothing.
        """
        return self.send(
            Call(
                "GET",
                "/vectors/collections/plan",
                models.Plan,
            )
        )

    def preview_template(
        self, template_id: UUID | str, body: models.PreviewIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Preview:
        """Preview a template.

        Renders it and lists missing and unused variables. Nothing is stored.
        """
        return self.send(
            Call(
                "POST",
                f"/templates/{quoted(template_id)}/preview",
                models.Preview,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def publish_event(
        self, body: models.EventIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Published:
        """Publish an event of your own application.

        The platform's own sources and types are refused.
        """
        return self.send(
            Call(
                "POST",
                "/events",
                models.Published,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def record_consent(
        self, contact_id: UUID | str, body: models.ConsentIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Consent:
        """Record a consent."""
        return self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/consents",
                models.Consent,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def record_sign_in(self) -> None:
        """Record that you signed in at the user pool's own pages, as the console does.

        Sign-ins through this API record
        themselves. Members of a suspended tenant get 403.
        """
        self.send(
            Call(
                "POST",
                "/auth/sessions",
                None,
            )
        )

    def redrive_failed_events(self, body: models.RedriveIn | Mapping[str, Any]) -> models.Redriven:
        """Redrive failed events.

        They return to their queues; consumers skip work that they have done, so repeat safely.
        """
        return self.send(
            Call(
                "POST",
                "/events/failed/redrive",
                models.Redriven,
                body=body,
            )
        )

    def refresh_access_token(self, body: models.RefreshIn | Mapping[str, Any]) -> models.Tokens:
        """Refresh the access token.

        The response may have a new refresh token, which replaces the old one.
        """
        return self.send(
            Call(
                "POST",
                "/auth/refresh",
                models.Tokens,
                body=body,
                anonymous=True,
            )
        )

    def remove_member(self, member_id: str) -> None:
        """Remove a member.

        Access tokens stay valid for at most an hour. A tenant keeps at least one admin.
        """
        self.send(
            Call(
                "DELETE",
                f"/members/{quoted(member_id)}",
                None,
            )
        )

    def repair_messages(
        self, body: models.RepairIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Job:
        """Repair the collection of messages.

        Removes the points whose messages no longer exist. The report counts the points that were read and removed.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/jobs/repairs",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def replace_settings(
        self, body: models.PlatformSettings | Mapping[str, Any], *, if_match: str | None = None
    ) -> models.Config:
        """Replace the settings.

        The document is stored as a new version, and functions use it within 15 seconds.

        Values that are left out get their defaults. If the document is invalid, nothing is stored, and a pointer names each
        mistake. `If-Match` is required; 409 if it is not the latest version.
        """
        return self.send(
            Call(
                "PUT",
                "/config",
                models.Config,
                headers={
                    "if-match": if_match,
                },
                body=body,
            )
        )

    def replay_deliveries(
        self,
        webhook_id: UUID | str,
        body: models.ReplayWebhookIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.MessagingReplayed:
        """Send ended deliveries again, with the same ids.

        Without `ids`, all that failed.
        """
        return self.send(
            Call(
                "POST",
                f"/webhooks/{quoted(webhook_id)}/replay",
                models.MessagingReplayed,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def replay_events(
        self, body: models.ReplayIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.CoordinatorReplayed:
        """Replay stored events.

        They go to the given consumers only, oldest first, with `"replayed": true`.

        A call replays a page of a hundred events; continue with `next_cursor`. Consumers skip events that they have
        already processed.
        """
        return self.send(
            Call(
                "POST",
                "/events/replay",
                models.CoordinatorReplayed,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def reset_second_factor(self, member_id: str) -> None:
        """Remove a member's authenticator app, which they lost.

        Their sessions end; they set up another one.
        """
        self.send(
            Call(
                "DELETE",
                f"/members/{quoted(member_id)}/second-factor",
                None,
            )
        )

    def restart_manager(self, name: str, *, cascade: bool | None = None) -> models.Manager:
        """Restart a manager.

        With `cascade`, the managers that depend on it are restarted as well.
        """
        return self.send(
            Call(
                "POST",
                f"/managers/{quoted(name)}/restart",
                models.Manager,
                query={
                    "cascade": cascade,
                },
            )
        )

    def resume_tenant(self, tenant_id: UUID | str, *, idempotency_key: str | None = None) -> models.Tenant:
        """Resume a suspended tenant.

        Cancels its deletion, if that has not begun.
        """
        return self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/resume",
                models.Tenant,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def retry_run(
        self, run_id: UUID | str, body: models.RetryIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Run:
        """Retry a run.

        Starts another run with the inputs of an ended run, on behalf of the caller: from the beginning, or
        from the failed step.
        """
        return self.send(
            Call(
                "POST",
                f"/runs/{quoted(run_id)}/retry",
                models.Run,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def roll_back_migration(
        self,
        job_id: UUID | str,
        body: models.VectorsRollbackIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Job:
        """Roll back a migration.

        Serves the old collection again, with the changes since the switch.
        """
        return self.send(
            Call(
                "POST",
                f"/vectors/jobs/{quoted(job_id)}/rollback",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def roll_back_settings(self, body: models.CoordinatorRollbackIn | Mapping[str, Any]) -> models.Config:
        """Roll back the settings.

        An older version is stored as a new version; 409 if today's rules do not accept it.
        """
        return self.send(
            Call(
                "POST",
                "/config/rollback",
                models.Config,
                body=body,
            )
        )

    def rotate_key(self) -> models.Rotation:
        """Rotate the key.

        A rotation that has not finished is continued. `key.rotated` tells the end.
        """
        return self.send(
            Call(
                "POST",
                "/keys/rotate",
                models.Rotation,
            )
        )

    def rotate_trigger_secret(
        self, workflow_id: UUID | str, trigger_id: UUID | str, *, idempotency_key: str | None = None
    ) -> models.Secret:
        """Create a new secret for a webhook.

        It is shown only once; the previous secret stays valid for one day.
        """
        return self.send(
            Call(
                "POST",
                f"/workflows/{quoted(workflow_id)}/triggers/{quoted(trigger_id)}/secret",
                models.Secret,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def rotate_webhook_secret(
        self, webhook_id: UUID | str, *, idempotency_key: str | None = None
    ) -> models.WebhookSecret:
        """Give a webhook another secret.

        For a day, requests are signed with the old one too.
        """
        return self.send(
            Call(
                "POST",
                f"/webhooks/{quoted(webhook_id)}/secret",
                models.WebhookSecret,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def run_vector_batch(
        self, body: models.BatchIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Batch:
        """Run a batch of operations.

        Runs up to 1,000 operations in order, each with its own result. An invalid operation does not stop the others,
        unless `atomic_validation` is set: then no operation runs if any is invalid.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/batch",
                models.Batch,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def search_points(
        self, body: models.SearchIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Search:
        """Search for points.

        Finds the nearest points by vector, by text or like examples. `group_by` returns them in groups.

        In `message_vectors`, `text` asks for people: "who has trouble with …?". `group_by: contact` returns people with the
        messages that prove it. If nobody matches, the result is empty and `nobody` says why.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/search",
                models.Search,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def search_points_many(
        self, body: models.SearchesIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Searches:
        """Run several searches.

        All searches are of one collection.
        """
        return self.send(
            Call(
                "POST",
                "/vectors/searches",
                models.Searches,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def send_test_event(self, webhook_id: UUID | str, *, idempotency_key: str | None = None) -> models.Tested:
        """Send an event of the type `webhook.test`.

        The log of deliveries has the answer within a minute.
        """
        return self.send(
            Call(
                "POST",
                f"/webhooks/{quoted(webhook_id)}/test",
                models.Tested,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def set_log_level(self, body: models.LogLevelIn | Mapping[str, Any]) -> models.LogLevel:
        """Set the log level for some minutes.

        Functions that serve requests and steps follow within seconds.
        """
        return self.send(
            Call(
                "PUT",
                "/log-level",
                models.LogLevel,
                body=body,
            )
        )

    def set_quota(
        self,
        tenant_id: UUID | str,
        quota: Literal["emails", "model_tokens", "runs", "import_bytes", "webhooks", "stored_vectors"],
        body: models.QuotaIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.QuotaList:
        """Set a quota of a tenant.

        It counts at once; for stored vectors, within a minute.
        """
        return self.send(
            Call(
                "PUT",
                f"/tenants/{quoted(tenant_id)}/quotas/{quoted(quota)}",
                models.QuotaList,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def set_up_totp(self, body: models.SetupIn | Mapping[str, Any]) -> models.Setup:
        """Set up an authenticator app.

        For the access token of somebody whose role needs a second factor.
        """
        return self.send(
            Call(
                "POST",
                "/auth/totp/setup",
                models.Setup,
                body=body,
                anonymous=True,
            )
        )

    def settle_email(
        self, email_id: UUID | str, body: models.SettleIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Email:
        """Settle an email that is `unknown`.

        Records whether it was sent; it is not sent again in either case.
        """
        return self.send(
            Call(
                "POST",
                f"/emails/{quoted(email_id)}/settle",
                models.Email,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def show_unsubscribe_page(self, token: str) -> str:
        """Show the unsubscribe page.

        It changes nothing, since mail scanners open links.
        """
        return self.send(
            Call(
                "GET",
                f"/unsubscribe/{quoted(token)}",
                str,
                anonymous=True,
            )
        )

    def sign_in(self, body: models.Credentials | Mapping[str, Any]) -> models.Tokens | models.NewPassword | models.Code:
        """Sign in.

        Returns an access token, which is valid for an hour, and a refresh token.

        It may return a `challenge` instead. `new_password`: the password was that of an invitation; choose your own at
        /auth/password. `totp`: enter a code of the authenticator app at /auth/totp.
        """
        return self.send(
            Call(
                "POST",
                "/auth/token",
                models.Tokens | models.NewPassword | models.Code,
                body=body,
                anonymous=True,
            )
        )

    def sign_out(self, body: models.RefreshIn | Mapping[str, Any]) -> None:
        """Sign out.

        Revokes the refresh token; access tokens end within an hour.
        """
        self.send(
            Call(
                "POST",
                "/auth/logout",
                None,
                body=body,
                anonymous=True,
            )
        )

    def start_manager(self, name: str, *, cascade: bool | None = None) -> models.Manager:
        """Start a manager.

        It processes what its queues retained.

        409 if a manager that it depends on is stopped; with `cascade`, that manager is started first.
        """
        return self.send(
            Call(
                "POST",
                f"/managers/{quoted(name)}/start",
                models.Manager,
                query={
                    "cascade": cascade,
                },
            )
        )

    def start_run(
        self, workflow_id: UUID | str, body: models.ExecuteIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Run:
        """Start a run of a workflow.

        It runs the newest version on behalf of the caller; follow it at /runs/{id}.
        """
        return self.send(
            Call(
                "POST",
                f"/workflows/{quoted(workflow_id)}/execute",
                models.Run,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def start_run_by_get(self, token: str, *, secret: str | None = None) -> models.HookRun:
        """Start a run through a webhook with `auth: secret`, by a request without a body."""
        return self.send(
            Call(
                "GET",
                f"/hooks/{quoted(token)}",
                models.HookRun,
                query={
                    "secret": secret,
                },
                anonymous=True,
            )
        )

    def start_run_by_hook(
        self,
        token: str,
        body: Mapping[str, Any] | Mapping[str, Any],
        *,
        webhook_id: str | None = None,
        webhook_timestamp: str | None = None,
        webhook_signature: str | None = None,
        secret: str | None = None,
    ) -> models.HookRun:
        """Start a run through a webhook.

        The body is the run's inputs, signed as Standard Webhooks specifies.

        A webhook with `auth: secret` takes its secret instead: as a bearer token, as the password of Basic authentication,
        or as the parameter `secret`. The inputs are then `{method, query, headers, body}`. Repeating a webhook-id returns
        the same run. If the workflow answers its callers, the answer is what it says.
        """
        return self.send(
            Call(
                "POST",
                f"/hooks/{quoted(token)}",
                models.HookRun,
                query={
                    "secret": secret,
                },
                headers={
                    "webhook-id": webhook_id,
                    "webhook-timestamp": webhook_timestamp,
                    "webhook-signature": webhook_signature,
                },
                body=body,
                anonymous=True,
            )
        )

    def stop_manager(self, name: str, *, cascade: bool | None = None) -> models.Manager:
        """Stop a manager.

        Within five seconds, its routes respond with 503 `manager_stopped`.

        Its queues retain their messages, and its schedules do not fire. 409 if a running manager depends on it; with
        `cascade`, the dependents are stopped first. The manager stays stopped until it is started.
        """
        return self.send(
            Call(
                "POST",
                f"/managers/{quoted(name)}/stop",
                models.Manager,
                query={
                    "cascade": cascade,
                },
            )
        )

    def suspend_tenant(self, tenant_id: UUID | str, *, idempotency_key: str | None = None) -> models.Tenant:
        """Suspend a tenant.

        Its requests, runs and sends are refused from now on; nothing is deleted.
        """
        return self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/suspend",
                models.Tenant,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def unsubscribe(self, token: str) -> str:
        """Unsubscribe a contact.

        For the page's button and a mail client's one-click request; repeating it is safe.
        """
        return self.send(
            Call(
                "POST",
                f"/unsubscribe/{quoted(token)}",
                str,
                anonymous=True,
            )
        )

    def update_contact(
        self,
        contact_id: UUID | str,
        body: models.ContactChange | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Contact:
        """Update a contact.

        Replaces the name and the attributes; the address cannot be changed.
        """
        return self.send(
            Call(
                "PUT",
                f"/contacts/{quoted(contact_id)}",
                models.Contact,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def update_draft(
        self, draft_id: UUID | str, body: models.DraftEdit | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Draft:
        """Edit a draft before its approval.

        The approval shows the new hash, and only the new text can be sent. `sha256` is
        the hash of the text that you have read; if the draft has another one by now, the answer is 409.
        """
        return self.send(
            Call(
                "PUT",
                f"/drafts/{quoted(draft_id)}",
                models.Draft,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def update_member(self, member_id: str, body: models.RoleIn | Mapping[str, Any]) -> models.Member:
        """Change a member's role.

        It counts from the next token on, within an hour. A tenant keeps at least one admin.
        """
        return self.send(
            Call(
                "PUT",
                f"/members/{quoted(member_id)}",
                models.Member,
                body=body,
            )
        )

    def update_retention(self, body: models.Retention | Mapping[str, Any]) -> models.Retention:
        """Change how long the tenant keeps its data.

        What is older is deleted within a day, and cannot be brought back.
        """
        return self.send(
            Call(
                "PUT",
                "/retention",
                models.Retention,
                body=body,
            )
        )

    def update_template(
        self,
        template_id: UUID | str,
        body: models.TemplateIn | Mapping[str, Any],
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Template:
        """Update a template.

        Stores a new version; existing drafts stay unchanged.
        """
        return self.send(
            Call(
                "PUT",
                f"/templates/{quoted(template_id)}",
                models.Template,
                headers={
                    "if-match": if_match,
                },
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def update_webhook(
        self, webhook_id: UUID | str, body: models.WebhookIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Webhook:
        """Update a webhook.

        Replaces the URL and the types, and starts a stopped webhook again.
        """
        return self.send(
            Call(
                "PUT",
                f"/webhooks/{quoted(webhook_id)}",
                models.Webhook,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def update_workflow(
        self,
        workflow_id: UUID | str,
        body: models.WorkflowIn | Mapping[str, Any],
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Workflow:
        """Update a workflow.

        This creates a new version; existing runs keep theirs.
        """
        return self.send(
            Call(
                "PUT",
                f"/workflows/{quoted(workflow_id)}",
                models.Workflow,
                headers={
                    "if-match": if_match,
                },
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def validate_settings(self, body: models.PlatformSettings | Mapping[str, Any]) -> models.Validated:
        """Validate settings without storing them."""
        return self.send(
            Call(
                "POST",
                "/config/validate",
                models.Validated,
                body=body,
            )
        )

    def validate_workflow(
        self, body: models.WorkflowIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Valid:
        """Validate a definition.

        Nothing is stored.
        """
        return self.send(
            Call(
                "POST",
                "/workflows/validate",
                models.Valid,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    def withdraw_consent(
        self,
        contact_id: UUID | str,
        consent_id: UUID | str,
        body: models.WithdrawalIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Consent:
        """Record that a consent was withdrawn.

        To send the person nothing more, suppress the address too.
        """
        return self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/consents/{quoted(consent_id)}/withdraw",
                models.Consent,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )


class AsyncOperations(ABC):
    """Every operation of the API, as coroutines. Each raises `ApiError` for an answer that is an error."""

    @abstractmethod
    async def send(self, call: Call[T]) -> T:
        """Make a request, and return its parsed answer."""

    async def answer_callback(self, token: str, body: models.CallbackAnswerIn | Mapping[str, Any]) -> None:
        """Answer a step that waits at this callback URL.

        The step has the action http.wait_for_callback. The URL itself is the key: it is signed, and only the first answer
        counts. A repeated answer changes nothing.
        """
        await self.send(
            Call(
                "POST",
                f"/hooks/callbacks/{quoted(token)}",
                None,
                body=body,
                anonymous=True,
            )
        )

    async def apply_collections(
        self, body: models.ApplyIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Plan:
        """Apply a plan of collection settings.

        Makes the live changes, if the plan is still current. Returns the remaining changes, which need a new collection.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/collections/apply",
                models.Plan,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def archive_workflow(self, workflow_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Archive a workflow.

        No new runs start, and its triggers retire. Open runs continue.
        """
        await self.send(
            Call(
                "DELETE",
                f"/workflows/{quoted(workflow_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def cancel_run(self, run_id: UUID | str, *, idempotency_key: str | None = None) -> models.Run:
        """Cancel a run.

        Finished steps are not undone.
        """
        return await self.send(
            Call(
                "POST",
                f"/runs/{quoted(run_id)}/cancel",
                models.Run,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def check_health(self) -> models.GatewayHealth:
        """Check the health.

        Returns 503 if a dependency is down. `dependencies` is returned only with a valid token.
        """
        return await self.send(
            Call(
                "GET",
                "/health",
                models.GatewayHealth,
            )
        )

    async def choose_password(self, body: models.PasswordIn | Mapping[str, Any]) -> models.Tokens:
        """Choose a password in place of that of an invitation, and sign in."""
        return await self.send(
            Call(
                "POST",
                "/auth/password",
                models.Tokens,
                body=body,
                anonymous=True,
            )
        )

    async def classify_message(
        self,
        message_id: UUID | str,
        body: models.MessageClassIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Message:
        """Decide who wrote an uncertain message.

        A person's message answers its email, and a wait for it goes on.
        """
        return await self.send(
            Call(
                "PUT",
                f"/messages/{quoted(message_id)}/class",
                models.Message,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def compare_workflow_versions(self, workflow_id: UUID | str, before: int, after: int) -> models.Difference:
        """Compare two versions of a workflow."""
        return await self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/diff",
                models.Difference,
                query={
                    "before": before,
                    "after": after,
                },
            )
        )

    async def confirm_totp(self, body: models.ConfirmationIn | Mapping[str, Any]) -> None:
        """Confirm the authenticator app with a code of it.

        Every sign-in needs a code from then on; sign in again now.
        """
        await self.send(
            Call(
                "POST",
                "/auth/totp/confirm",
                None,
                body=body,
                anonymous=True,
            )
        )

    async def create_channel(
        self,
        body: models.MailChannelIn | models.WebhookChannelIn | models.LogChannelIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.NewChannel:
        """Create a channel.

        Returns 409 if the name is already used or there are too many channels.
        """
        return await self.send(
            Call(
                "POST",
                "/notifications/channels",
                models.NewChannel,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_contact(
        self, body: models.ContactIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Contact:
        """Add a contact.

        Returns 409 if the tenant already has the address.
        """
        return await self.send(
            Call(
                "POST",
                "/contacts",
                models.Contact,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_contacts(
        self, body: models.ContactsIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.AddedContacts:
        """Add up to 1,000 contacts.

        Returns what became of each: `added`, `exists`, `invalid` or `erased`. With `dry_run`,
        nothing is stored. Repeating the request adds nobody twice.
        """
        return await self.send(
            Call(
                "POST",
                "/contacts/bulk",
                models.AddedContacts,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_import(
        self,
        body: models.MailboxImportIn | models.VectorsImportIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.ImportCreated:
        """Create an import.

        Announces a mailbox (mbox) or a file of vectors. PUT the file to the returned URL to start the import. With
        `payloads` there are two URLs, and the import starts when both files have been uploaded.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/imports",
                models.ImportCreated,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_suppression(
        self, body: models.SuppressionIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Suppression:
        """Suppress an address.

        It receives no more mail. Repeating the request changes nothing.
        """
        return await self.send(
            Call(
                "POST",
                "/suppressions",
                models.Suppression,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_template(
        self, body: models.TemplateIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Template:
        """Create a template.

        The error for an undeclared variable names the variable.
        """
        return await self.send(
            Call(
                "POST",
                "/templates",
                models.Template,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_tenant(
        self, body: models.TenantIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Create a tenant.

        Returns 409 if another tenant has the name. Then invite its first admin.
        """
        return await self.send(
            Call(
                "POST",
                "/tenants",
                models.Tenant,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_webhook(
        self, body: models.WebhookIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.NewWebhook:
        """Create a webhook.

        From now on, each event of these types is posted to the URL, at least once.
        """
        return await self.send(
            Call(
                "POST",
                "/webhooks",
                models.NewWebhook,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def create_workflow(
        self, body: models.WorkflowIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Workflow:
        """Create a workflow.

        If the definition has problems, each is reported with a pointer, and nothing is stored.
        """
        return await self.send(
            Call(
                "POST",
                "/workflows",
                models.Workflow,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def decide_approval(
        self,
        approval_id: UUID | str,
        body: models.DecisionIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Approval:
        """Decide an approval.

        Repeating the same decision has no effect; a different decision is a conflict. The emails of
        drafts that are left out are rejected. With `seen`, a draft that was edited meanwhile makes it a conflict.
        """
        return await self.send(
            Call(
                "POST",
                f"/approvals/{quoted(approval_id)}",
                models.Approval,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_channel(self, channel_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a channel.

        Notifications that are not yet delivered to it are dropped.
        """
        await self.send(
            Call(
                "DELETE",
                f"/notifications/channels/{quoted(channel_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_contact(self, contact_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a contact.

        Its messages, drafts, emails and search points are deleted too. A suppression stays.
        """
        await self.send(
            Call(
                "DELETE",
                f"/contacts/{quoted(contact_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_point(
        self,
        point_id: str,
        *,
        collection: Literal["task_vectors", "document_vectors", "message_vectors"] | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Delete a point."""
        await self.send(
            Call(
                "DELETE",
                f"/vectors/{quoted(point_id)}",
                None,
                query={
                    "collection": collection,
                },
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_suppression(self, address: str, *, idempotency_key: str | None = None) -> None:
        """Remove a suppression.

        The address can receive mail again.
        """
        await self.send(
            Call(
                "DELETE",
                f"/suppressions/{quoted(address)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_template(self, template_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a template.

        Its drafts stay.
        """
        await self.send(
            Call(
                "DELETE",
                f"/templates/{quoted(template_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_tenant(
        self, tenant_id: UUID | str, body: models.DeletionIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Tenant:
        """Delete a tenant.

        It is suspended now, and deleted in seven days.

        Its key is destroyed then: nobody can read its people's addresses, its messages and its secrets, not in a backup
        either.
        """
        return await self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/delete",
                models.Tenant,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def delete_webhook(self, webhook_id: UUID | str, *, idempotency_key: str | None = None) -> None:
        """Delete a webhook, with the log of its deliveries."""
        await self.send(
            Call(
                "DELETE",
                f"/webhooks/{quoted(webhook_id)}",
                None,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def enter_totp_code(self, body: models.CodeIn | Mapping[str, Any]) -> models.Tokens:
        """Enter a code of the authenticator app, and sign in."""
        return await self.send(
            Call(
                "POST",
                "/auth/totp",
                models.Tokens,
                body=body,
                anonymous=True,
            )
        )

    async def erase_contact(self, contact_id: UUID | str) -> models.Erasure:
        """Erase a person.

        Nobody can import or mail them again; only a keyed hash of the address stays.
        """
        return await self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/erase",
                models.Erasure,
            )
        )

    async def export_collection(
        self, body: models.ExportIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Job:
        """Export a collection.

        Writes all points of the collection to the bucket.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/jobs/exports",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def export_contact(self, contact_id: UUID | str) -> models.PersonalData:
        """Export all that is stored about a contact.

        The export is in the audit log.
        """
        return await self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/export",
                models.PersonalData,
            )
        )

    async def finish_migration(self, job_id: UUID | str, *, idempotency_key: str | None = None) -> models.Job:
        """Finish a migration.

        Drops the old collection. The migration can no longer be rolled back.
        """
        return await self.send(
            Call(
                "POST",
                f"/vectors/jobs/{quoted(job_id)}/finish",
                models.Job,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def get_approval(self, approval_id: UUID | str) -> models.Approval:
        """Get an approval."""
        return await self.send(
            Call(
                "GET",
                f"/approvals/{quoted(approval_id)}",
                models.Approval,
            )
        )

    async def get_contact(self, contact_id: UUID | str) -> models.Contact:
        """Get a contact."""
        return await self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}",
                models.Contact,
            )
        )

    async def get_dashboard(self, dashboard: str, *, hours: int | None = None) -> models.Dashboard:
        """Get a dashboard with the figures of the last hours.

        They are at most a minute old.
        """
        return await self.send(
            Call(
                "GET",
                f"/dashboards/{quoted(dashboard)}",
                models.Dashboard,
                query={
                    "hours": hours,
                },
            )
        )

    async def get_draft(self, draft_id: UUID | str) -> models.Draft:
        """Get a draft.

        It is shown as it would be sent.
        """
        return await self.send(
            Call(
                "GET",
                f"/drafts/{quoted(draft_id)}",
                models.Draft,
            )
        )

    async def get_email(self, email_id: UUID | str) -> models.Email:
        """Get an email."""
        return await self.send(
            Call(
                "GET",
                f"/emails/{quoted(email_id)}",
                models.Email,
            )
        )

    async def get_email_statistics(self, *, weeks: int | None = None) -> models.Statistics:
        """Count emails by week and workflow.

        Returns how many were delivered, bounced and answered.
        """
        return await self.send(
            Call(
                "GET",
                "/emails/statistics",
                models.Statistics,
                query={
                    "weeks": weeks,
                },
            )
        )

    async def get_email_story(self, email_id: UUID | str) -> models.MessagingStory:
        """Get the story of an email.

        Returns its workflow and version, evidence, approval, claim, reports and replies.
        """
        return await self.send(
            Call(
                "GET",
                f"/emails/{quoted(email_id)}/story",
                models.MessagingStory,
            )
        )

    async def get_erasure(self, contact_id: UUID | str) -> models.Erasure:
        """Get the receipt of an erasure."""
        return await self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}/erasure",
                models.Erasure,
            )
        )

    async def get_hook_result(
        self,
        token: str,
        run_id: UUID | str,
        *,
        webhook_id: str | None = None,
        webhook_timestamp: str | None = None,
        webhook_signature: str | None = None,
        secret: str | None = None,
    ) -> models.HookResult:
        """Get the result of a run that a webhook started.

        The request is signed over an empty body, or has the secret.
        """
        return await self.send(
            Call(
                "GET",
                f"/hooks/{quoted(token)}/runs/{quoted(run_id)}",
                models.HookResult,
                query={
                    "secret": secret,
                },
                headers={
                    "webhook-id": webhook_id,
                    "webhook-timestamp": webhook_timestamp,
                    "webhook-signature": webhook_signature,
                },
                anonymous=True,
            )
        )

    async def get_import(
        self, import_id: UUID | str, *, limit: int | None = None, cursor: int | None = None
    ) -> models.VectorsImport:
        """Get an import.

        Returns the progress, and the messages or rows that could not be imported.
        """
        return await self.send(
            Call(
                "GET",
                f"/vectors/imports/{quoted(import_id)}",
                models.VectorsImport,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    async def get_job(self, job_id: UUID | str) -> models.AnyJob:
        """Get a job.

        A job is a run, an import, an export or a migration; `path` leads to its details.
        """
        return await self.send(
            Call(
                "GET",
                f"/jobs/{quoted(job_id)}",
                models.AnyJob,
            )
        )

    async def get_log_level(self) -> models.LogLevel:
        """Get the log level that is set for now."""
        return await self.send(
            Call(
                "GET",
                "/log-level",
                models.LogLevel,
            )
        )

    async def get_manager(self, name: str) -> models.Manager:
        """Get a manager."""
        return await self.send(
            Call(
                "GET",
                f"/managers/{quoted(name)}/status",
                models.Manager,
            )
        )

    async def get_manager_metrics(self, name: str) -> models.ManagerMetrics:
        """Get a manager's figures as last observed."""
        return await self.send(
            Call(
                "GET",
                f"/managers/{quoted(name)}/metrics",
                models.ManagerMetrics,
            )
        )

    async def get_metrics(self) -> str:
        """Get metrics.

        Returns counters, histograms and gauges of the whole platform as Prometheus text.
        """
        return await self.send(
            Call(
                "GET",
                "/metrics",
                str,
            )
        )

    async def get_own_tenant(self) -> models.OwnTenant:
        """Get your own tenant, with what it may use and what it has used today."""
        return await self.send(
            Call(
                "GET",
                "/tenants/me",
                models.OwnTenant,
            )
        )

    async def get_quotas(self, tenant_id: UUID | str) -> models.QuotaList:
        """Get the quotas of a tenant."""
        return await self.send(
            Call(
                "GET",
                f"/tenants/{quoted(tenant_id)}/quotas",
                models.QuotaList,
            )
        )

    async def get_retention(self) -> models.Retention:
        """Get how long the tenant keeps its data."""
        return await self.send(
            Call(
                "GET",
                "/retention",
                models.Retention,
            )
        )

    async def get_run(self, run_id: UUID | str) -> models.RunDetail:
        """Get a run.

        The response has the attempts, times, results and errors of its steps.
        """
        return await self.send(
            Call(
                "GET",
                f"/runs/{quoted(run_id)}",
                models.RunDetail,
            )
        )

    async def get_run_story(self, run_id: UUID | str) -> models.WorkflowsStory:
        """Get the story of a run.

        Returns its steps, drafts, approvals, emails and replies in order.
        """
        return await self.send(
            Call(
                "GET",
                f"/runs/{quoted(run_id)}/story",
                models.WorkflowsStory,
            )
        )

    async def get_settings(self) -> models.Config:
        """Get the settings.

        Use the ETag of their version as `If-Match` to change them.
        """
        return await self.send(
            Call(
                "GET",
                "/config",
                models.Config,
            )
        )

    async def get_status(self) -> models.GatewayStatus:
        """Get the status.

        Returns the stage, the version and the state of each dependency.
        """
        return await self.send(
            Call(
                "GET",
                "/status",
                models.GatewayStatus,
            )
        )

    async def get_template(self, template_id: UUID | str) -> models.Template:
        """Get a template.

        Returns the newest version.
        """
        return await self.send(
            Call(
                "GET",
                f"/templates/{quoted(template_id)}",
                models.Template,
            )
        )

    async def get_tenant(self, tenant_id: UUID | str) -> models.Tenant:
        """Get a tenant."""
        return await self.send(
            Call(
                "GET",
                f"/tenants/{quoted(tenant_id)}",
                models.Tenant,
            )
        )

    async def get_vector_job(self, job_id: UUID | str) -> models.Job:
        """Get a vector job.

        Returns the progress of each phase and a report of the counts and comparisons.
        """
        return await self.send(
            Call(
                "GET",
                f"/vectors/jobs/{quoted(job_id)}",
                models.Job,
            )
        )

    async def get_version(self) -> models.GatewayVersion:
        """Get the deployed version.

        Returns version, commit and build time.
        """
        return await self.send(
            Call(
                "GET",
                "/version",
                models.GatewayVersion,
            )
        )

    async def get_webhook(self, webhook_id: UUID | str) -> models.Webhook:
        """Get a webhook."""
        return await self.send(
            Call(
                "GET",
                f"/webhooks/{quoted(webhook_id)}",
                models.Webhook,
            )
        )

    async def get_workflow(self, workflow_id: UUID | str) -> models.Workflow:
        """Get a workflow at its newest version."""
        return await self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}",
                models.Workflow,
            )
        )

    async def get_workflow_graph(
        self, workflow_id: UUID | str, *, format: Literal["svg", "mermaid"] | None = None, run: UUID | str | None = None
    ) -> str:
        """Get a picture of a workflow.

        With `run`, it shows that run's version.
        """
        return await self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/graph",
                str,
                query={
                    "format": format,
                    "run": run,
                },
            )
        )

    async def import_n8n_workflow(
        self, body: models.ImportIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.WorkflowsImport:
        """Convert an n8n workflow to a definition.

        The report shows how each node was converted; nothing is stored.

        Returns 403 if the feature `n8n_import` is not enabled for the tenant.
        """
        return await self.send(
            Call(
                "POST",
                "/workflows/import",
                models.WorkflowsImport,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def insert_points(
        self, body: models.InsertIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Insert:
        """Insert points.

        Writes all points, or none if one is invalid. A point with the id of an existing point replaces it.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/insert",
                models.Insert,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def invite_member(self, body: models.InvitationIn | Mapping[str, Any]) -> models.Member:
        """Invite a person.

        They get a mail with a password for the first sign-in.
        """
        return await self.send(
            Call(
                "POST",
                "/members",
                models.Member,
                body=body,
            )
        )

    async def invite_tenant_admin(
        self, tenant_id: UUID | str, body: models.AdminIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Member:
        """Invite an admin of a tenant.

        The person gets a mail with a password for the first sign-in.
        """
        return await self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/admins",
                models.Member,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def list_actions(self) -> models.ActionList:
        """List the actions of steps.

        Each action has the schemas of a step's `with` and of its result.
        """
        return await self.send(
            Call(
                "GET",
                "/workflows/actions",
                models.ActionList,
            )
        )

    async def list_approvals(
        self,
        *,
        status: Literal["pending", "approved", "denied", "expired"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.ApprovalList:
        """List approvals."""
        return await self.send(
            Call(
                "GET",
                "/approvals",
                models.ApprovalList,
                query={
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_approvals(
        self, *, status: Literal["pending", "approved", "denied", "expired"] | None = None
    ) -> AsyncIterator[models.Approval]:
        """Iterate over the items of all pages of `list_approvals`."""
        return pages_async(lambda cursor: self.list_approvals(status=status, limit=200, cursor=cursor))

    async def list_audit_entries(self, *, limit: int | None = None, cursor: str | None = None) -> models.Audit:
        """List audit log entries, newest first."""
        return await self.send(
            Call(
                "GET",
                "/audit",
                models.Audit,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_audit_entries(self) -> AsyncIterator[models.AuditEntry]:
        """Iterate over the items of all pages of `list_audit_entries`."""
        return pages_async(lambda cursor: self.list_audit_entries(limit=200, cursor=cursor))

    async def list_channels(self) -> models.Channels:
        """List channels.

        Without any channel, notifications go to the log.
        """
        return await self.send(
            Call(
                "GET",
                "/notifications/channels",
                models.Channels,
            )
        )

    async def list_collections(self) -> models.Collections:
        """List collections.

        Returns each collection with the number of the tenant's points in it.
        """
        return await self.send(
            Call(
                "GET",
                "/vectors/collections",
                models.Collections,
            )
        )

    async def list_consents(self, contact_id: UUID | str) -> models.ConsentList:
        """List what a contact consented to, newest first."""
        return await self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}/consents",
                models.ConsentList,
            )
        )

    async def list_contact_messages(
        self, contact_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> models.MessageList:
        """List a contact's messages.

        The newest come first.
        """
        return await self.send(
            Call(
                "GET",
                f"/contacts/{quoted(contact_id)}/messages",
                models.MessageList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_contact_messages(self, contact_id: UUID | str) -> AsyncIterator[models.Message]:
        """Iterate over the items of all pages of `list_contact_messages`."""
        return pages_async(lambda cursor: self.list_contact_messages(contact_id=contact_id, limit=200, cursor=cursor))

    async def list_contacts(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        id: Sequence[UUID | str] | None = None,
        email: str | None = None,
        q: str | None = None,
    ) -> models.ContactList:
        """List contacts.

        They are in the order of creation. Addresses are masked for the role readonly, whose `q` finds
        names only.
        """
        return await self.send(
            Call(
                "GET",
                "/contacts",
                models.ContactList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "id": id,
                    "email": email,
                    "q": q,
                },
            )
        )

    def iterate_contacts(
        self, *, id: Sequence[UUID | str] | None = None, email: str | None = None, q: str | None = None
    ) -> AsyncIterator[models.Contact]:
        """Iterate over the items of all pages of `list_contacts`."""
        return pages_async(lambda cursor: self.list_contacts(id=id, email=email, q=q, limit=200, cursor=cursor))

    async def list_dashboards(self) -> models.DashboardNameList:
        """List the names of this deployment's dashboards."""
        return await self.send(
            Call(
                "GET",
                "/dashboards",
                models.DashboardNameList,
            )
        )

    async def list_deliveries(
        self,
        webhook_id: UUID | str,
        *,
        state: Literal["due", "sending", "delivered", "failed"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.DeliveryList:
        """List deliveries to a webhook.

        The newest come first. They are kept for 30 days.
        """
        return await self.send(
            Call(
                "GET",
                f"/webhooks/{quoted(webhook_id)}/deliveries",
                models.DeliveryList,
                query={
                    "state": state,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_deliveries(
        self, webhook_id: UUID | str, *, state: Literal["due", "sending", "delivered", "failed"] | None = None
    ) -> AsyncIterator[models.Delivery]:
        """Iterate over the items of all pages of `list_deliveries`."""
        return pages_async(
            lambda cursor: self.list_deliveries(webhook_id=webhook_id, state=state, limit=200, cursor=cursor)
        )

    async def list_drafts(self, id: Sequence[UUID | str]) -> models.DraftList:
        """List drafts by id.

        They are in the requested order, without those that do not exist.
        """
        return await self.send(
            Call(
                "GET",
                "/drafts",
                models.DraftList,
                query={
                    "id": id,
                },
            )
        )

    async def list_emails(
        self,
        *,
        run_id: UUID | str | None = None,
        contact_id: UUID | str | None = None,
        status: Literal[
            "queued", "sending", "sent", "unknown", "rejected", "suppressed", "delivered", "bounced", "complained"
        ]
        | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.EmailList:
        """List emails.

        The newest come first. `run_id`, `contact_id` and `status` restrict the list.
        """
        return await self.send(
            Call(
                "GET",
                "/emails",
                models.EmailList,
                query={
                    "run_id": run_id,
                    "contact_id": contact_id,
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_emails(
        self,
        *,
        run_id: UUID | str | None = None,
        contact_id: UUID | str | None = None,
        status: Literal[
            "queued", "sending", "sent", "unknown", "rejected", "suppressed", "delivered", "bounced", "complained"
        ]
        | None = None,
    ) -> AsyncIterator[models.Email]:
        """Iterate over the items of all pages of `list_emails`."""
        return pages_async(
            lambda cursor: self.list_emails(
                run_id=run_id, contact_id=contact_id, status=status, limit=200, cursor=cursor
            )
        )

    async def list_events(
        self,
        *,
        type: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.EventsOut:
        """List the tenant's events, newest first."""
        return await self.send(
            Call(
                "GET",
                "/events",
                models.EventsOut,
                query={
                    "type": type,
                    "source": source,
                    "correlation_id": correlation_id,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_events(
        self, *, type: str | None = None, source: str | None = None, correlation_id: str | None = None
    ) -> AsyncIterator[models.Event]:
        """Iterate over the items of all pages of `list_events`."""
        return pages_async(
            lambda cursor: self.list_events(
                type=type, source=source, correlation_id=correlation_id, limit=200, cursor=cursor
            )
        )

    async def list_failed_events(
        self,
        *,
        consumer: str | None = None,
        status: Literal["failed", "redriven", "parked"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.FailedEventsOut:
        """List failed events, latest first."""
        return await self.send(
            Call(
                "GET",
                "/events/failed",
                models.FailedEventsOut,
                query={
                    "consumer": consumer,
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_failed_events(
        self, *, consumer: str | None = None, status: Literal["failed", "redriven", "parked"] | None = None
    ) -> AsyncIterator[models.FailedEvent]:
        """Iterate over the items of all pages of `list_failed_events`."""
        return pages_async(
            lambda cursor: self.list_failed_events(consumer=consumer, status=status, limit=200, cursor=cursor)
        )

    async def list_imports(self, *, limit: int | None = None, cursor: str | None = None) -> models.ImportList:
        """List imports.

        The newest come first. Rejected messages and rows are listed by each import's own path.
        """
        return await self.send(
            Call(
                "GET",
                "/vectors/imports",
                models.ImportList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_imports(self) -> AsyncIterator[models.VectorsImport]:
        """Iterate over the items of all pages of `list_imports`."""
        return pages_async(lambda cursor: self.list_imports(limit=200, cursor=cursor))

    async def list_keys(self) -> models.KeyList:
        """List the versions of the tenant's key, oldest first.

        Old ones are removed a day after nothing needs them.
        """
        return await self.send(
            Call(
                "GET",
                "/keys",
                models.KeyList,
            )
        )

    async def list_managers(self) -> models.Managers:
        """List managers.

        Their status is checked now, but at most every three seconds.
        """
        return await self.send(
            Call(
                "GET",
                "/managers/status",
                models.Managers,
            )
        )

    async def list_members(self, *, limit: int | None = None, cursor: str | None = None) -> models.MemberList:
        """List the members of the tenant, at most 60 at once."""
        return await self.send(
            Call(
                "GET",
                "/members",
                models.MemberList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_members(self) -> AsyncIterator[models.Member]:
        """Iterate over the items of all pages of `list_members`."""
        return pages_async(lambda cursor: self.list_members(limit=200, cursor=cursor))

    async def list_messages(self, id: Sequence[UUID | str]) -> models.MessageList:
        """List messages by id.

        They are in the requested order. Use it to read the evidence of a search.
        """
        return await self.send(
            Call(
                "GET",
                "/messages",
                models.MessageList,
                query={
                    "id": id,
                },
            )
        )

    async def list_notifications(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> models.NotificationList:
        """List notifications.

        The newest come first.
        """
        return await self.send(
            Call(
                "GET",
                "/notifications",
                models.NotificationList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_notifications(self) -> AsyncIterator[models.Notification]:
        """Iterate over the items of all pages of `list_notifications`."""
        return pages_async(lambda cursor: self.list_notifications(limit=200, cursor=cursor))

    async def list_runs(
        self,
        *,
        status: Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> models.RunList:
        """List the runs of all workflows.

        The newest come first. `status` restricts the list.
        """
        return await self.send(
            Call(
                "GET",
                "/runs",
                models.RunList,
                query={
                    "status": status,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_runs(
        self,
        *,
        status: Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled", "timed_out"] | None = None,
    ) -> AsyncIterator[models.Run]:
        """Iterate over the items of all pages of `list_runs`."""
        return pages_async(lambda cursor: self.list_runs(status=status, limit=200, cursor=cursor))

    async def list_settings_versions(
        self, *, limit: int | None = None, cursor: int | None = None
    ) -> models.ConfigVersions:
        """List versions of the settings, newest first, with author, time and changes.

        At most 100 are retained.
        """
        return await self.send(
            Call(
                "GET",
                "/config/history",
                models.ConfigVersions,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_settings_versions(self) -> AsyncIterator[models.ConfigVersion]:
        """Iterate over the items of all pages of `list_settings_versions`."""
        return pages_async(lambda cursor: self.list_settings_versions(limit=200, cursor=cursor))

    async def list_stored_items(
        self, run_id: UUID | str, items_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> models.StoredItems:
        """List items that a step stored.

        The step's result has their id, as `stored_items`.
        """
        return await self.send(
            Call(
                "GET",
                f"/runs/{quoted(run_id)}/items/{quoted(items_id)}",
                models.StoredItems,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_stored_items(self, run_id: UUID | str, items_id: UUID | str) -> AsyncIterator[Mapping[str, Any]]:
        """Iterate over the items of all pages of `list_stored_items`."""
        return pages_async(
            lambda cursor: self.list_stored_items(run_id=run_id, items_id=items_id, limit=200, cursor=cursor)
        )

    async def list_suppressions(self, *, limit: int | None = None, cursor: str | None = None) -> models.SuppressionList:
        """List suppressed addresses.

        They receive no mail. Addresses are masked for the role readonly.
        """
        return await self.send(
            Call(
                "GET",
                "/suppressions",
                models.SuppressionList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_suppressions(self) -> AsyncIterator[models.Suppression]:
        """Iterate over the items of all pages of `list_suppressions`."""
        return pages_async(lambda cursor: self.list_suppressions(limit=200, cursor=cursor))

    async def list_templates(self, *, limit: int | None = None, cursor: str | None = None) -> models.TemplateList:
        """List templates.

        They are in the order of creation.
        """
        return await self.send(
            Call(
                "GET",
                "/templates",
                models.TemplateList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_templates(self) -> AsyncIterator[models.Template]:
        """Iterate over the items of all pages of `list_templates`."""
        return pages_async(lambda cursor: self.list_templates(limit=200, cursor=cursor))

    async def list_tenants(self, *, limit: int | None = None, cursor: str | None = None) -> models.TenantList:
        """List tenants.

        They are in the order of creation.
        """
        return await self.send(
            Call(
                "GET",
                "/tenants",
                models.TenantList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_tenants(self) -> AsyncIterator[models.Tenant]:
        """Iterate over the items of all pages of `list_tenants`."""
        return pages_async(lambda cursor: self.list_tenants(limit=200, cursor=cursor))

    async def list_triggers(self, workflow_id: UUID | str) -> models.TriggerList:
        """List the triggers of a workflow.

        Each trigger has its state and the outcome of its last start.
        """
        return await self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/triggers",
                models.TriggerList,
            )
        )

    async def list_uncertain_messages(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> models.MessageList:
        """List uncertain answers.

        A program may have written them; they end no wait until somebody has looked.
        """
        return await self.send(
            Call(
                "GET",
                "/messages/uncertain",
                models.MessageList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_uncertain_messages(self) -> AsyncIterator[models.Message]:
        """Iterate over the items of all pages of `list_uncertain_messages`."""
        return pages_async(lambda cursor: self.list_uncertain_messages(limit=200, cursor=cursor))

    async def list_unclaimed_mail(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> models.UnclaimedMails:
        """List received mail that belongs to no tenant, latest first."""
        return await self.send(
            Call(
                "GET",
                "/events/unclaimed-mail",
                models.UnclaimedMails,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_unclaimed_mail(self) -> AsyncIterator[models.UnclaimedMail]:
        """Iterate over the items of all pages of `list_unclaimed_mail`."""
        return pages_async(lambda cursor: self.list_unclaimed_mail(limit=200, cursor=cursor))

    async def list_vector_jobs(self, *, limit: int | None = None, cursor: str | None = None) -> models.Jobs:
        """List vector jobs.

        The newest job comes first.
        """
        return await self.send(
            Call(
                "GET",
                "/vectors/jobs",
                models.Jobs,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_vector_jobs(self) -> AsyncIterator[models.Job]:
        """Iterate over the items of all pages of `list_vector_jobs`."""
        return pages_async(lambda cursor: self.list_vector_jobs(limit=200, cursor=cursor))

    async def list_webhooks(self) -> models.WebhookList:
        """List webhooks."""
        return await self.send(
            Call(
                "GET",
                "/webhooks",
                models.WebhookList,
            )
        )

    async def list_workflow_runs(
        self, workflow_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> models.RunList:
        """List the runs of a workflow.

        Newest first.
        """
        return await self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/runs",
                models.RunList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_workflow_runs(self, workflow_id: UUID | str) -> AsyncIterator[models.Run]:
        """Iterate over the items of all pages of `list_workflow_runs`."""
        return pages_async(lambda cursor: self.list_workflow_runs(workflow_id=workflow_id, limit=200, cursor=cursor))

    async def list_workflow_versions(
        self, workflow_id: UUID | str, *, limit: int | None = None, cursor: int | None = None
    ) -> models.VersionList:
        """List the published versions of a workflow.

        Newest first.
        """
        return await self.send(
            Call(
                "GET",
                f"/workflows/{quoted(workflow_id)}/versions",
                models.VersionList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_workflow_versions(self, workflow_id: UUID | str) -> AsyncIterator[models.WorkflowsVersion]:
        """Iterate over the items of all pages of `list_workflow_versions`."""
        return pages_async(
            lambda cursor: self.list_workflow_versions(workflow_id=workflow_id, limit=200, cursor=cursor)
        )

    async def list_workflows(self, *, limit: int | None = None, cursor: str | None = None) -> models.WorkflowList:
        """List workflows.

        Oldest first.
        """
        return await self.send(
            Call(
                "GET",
                "/workflows",
                models.WorkflowList,
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )

    def iterate_workflows(self) -> AsyncIterator[models.Workflow]:
        """Iterate over the items of all pages of `list_workflows`."""
        return pages_async(lambda cursor: self.list_workflows(limit=200, cursor=cursor))

    async def migrate_collection(
        self, body: models.MigrationIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Job:
        """Migrate a collection.

        Copies the points into a new collection, compares both, and serves the new one instead of the old one.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/jobs/migrations",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def plan_collections(self) -> models.Plan:
        """Plan changes of collection settings.

        Lists where the collections differ from the configuration. Changes nothing.
        """
        return await self.send(
            Call(
                "GET",
                "/vectors/collections/plan",
                models.Plan,
            )
        )

    async def preview_template(
        self, template_id: UUID | str, body: models.PreviewIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Preview:
        """Preview a template.

        Renders it and lists missing and unused variables. Nothing is stored.
        """
        return await self.send(
            Call(
                "POST",
                f"/templates/{quoted(template_id)}/preview",
                models.Preview,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def publish_event(
        self, body: models.EventIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Published:
        """Publish an event of your own application.

        The platform's own sources and types are refused.
        """
        return await self.send(
            Call(
                "POST",
                "/events",
                models.Published,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def record_consent(
        self, contact_id: UUID | str, body: models.ConsentIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Consent:
        """Record a consent."""
        return await self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/consents",
                models.Consent,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def record_sign_in(self) -> None:
        """Record that you signed in at the user pool's own pages, as the console does.

        Sign-ins through this API record
        themselves. Members of a suspended tenant get 403.
        """
        await self.send(
            Call(
                "POST",
                "/auth/sessions",
                None,
            )
        )

    async def redrive_failed_events(self, body: models.RedriveIn | Mapping[str, Any]) -> models.Redriven:
        """Redrive failed events.

        They return to their queues; consumers skip work that they have done, so repeat safely.
        """
        return await self.send(
            Call(
                "POST",
                "/events/failed/redrive",
                models.Redriven,
                body=body,
            )
        )

    async def refresh_access_token(self, body: models.RefreshIn | Mapping[str, Any]) -> models.Tokens:
        """Refresh the access token.

        The response may have a new refresh token, which replaces the old one.
        """
        return await self.send(
            Call(
                "POST",
                "/auth/refresh",
                models.Tokens,
                body=body,
                anonymous=True,
            )
        )

    async def remove_member(self, member_id: str) -> None:
        """Remove a member.

        Access tokens stay valid for at most an hour. A tenant keeps at least one admin.
        """
        await self.send(
            Call(
                "DELETE",
                f"/members/{quoted(member_id)}",
                None,
            )
        )

    async def repair_messages(
        self, body: models.RepairIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Job:
        """Repair the collection of messages.

        Removes the points whose messages no longer exist. The report counts the points that were read and removed.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/jobs/repairs",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def replace_settings(
        self, body: models.PlatformSettings | Mapping[str, Any], *, if_match: str | None = None
    ) -> models.Config:
        """Replace the settings.

        The document is stored as a new version, and functions use it within 15 seconds.

        Values that are left out get their defaults. If the document is invalid, nothing is stored, and a pointer names each
        mistake. `If-Match` is required; 409 if it is not the latest version.
        """
        return await self.send(
            Call(
                "PUT",
                "/config",
                models.Config,
                headers={
                    "if-match": if_match,
                },
                body=body,
            )
        )

    async def replay_deliveries(
        self,
        webhook_id: UUID | str,
        body: models.ReplayWebhookIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.MessagingReplayed:
        """Send ended deliveries again, with the same ids.

        Without `ids`, all that failed.
        """
        return await self.send(
            Call(
                "POST",
                f"/webhooks/{quoted(webhook_id)}/replay",
                models.MessagingReplayed,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def replay_events(
        self, body: models.ReplayIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.CoordinatorReplayed:
        """Replay stored events.

        They go to the given consumers only, oldest first, with `"replayed": true`.

        A call replays a page of a hundred events; continue with `next_cursor`. Consumers skip events that they have
        already processed.
        """
        return await self.send(
            Call(
                "POST",
                "/events/replay",
                models.CoordinatorReplayed,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def reset_second_factor(self, member_id: str) -> None:
        """Remove a member's authenticator app, which they lost.

        Their sessions end; they set up another one.
        """
        await self.send(
            Call(
                "DELETE",
                f"/members/{quoted(member_id)}/second-factor",
                None,
            )
        )

    async def restart_manager(self, name: str, *, cascade: bool | None = None) -> models.Manager:
        """Restart a manager.

        With `cascade`, the managers that depend on it are restarted as well.
        """
        return await self.send(
            Call(
                "POST",
                f"/managers/{quoted(name)}/restart",
                models.Manager,
                query={
                    "cascade": cascade,
                },
            )
        )

    async def resume_tenant(self, tenant_id: UUID | str, *, idempotency_key: str | None = None) -> models.Tenant:
        """Resume a suspended tenant.

        Cancels its deletion, if that has not begun.
        """
        return await self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/resume",
                models.Tenant,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def retry_run(
        self, run_id: UUID | str, body: models.RetryIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Run:
        """Retry a run.

        Starts another run with the inputs of an ended run, on behalf of the caller: from the beginning, or
        from the failed step.
        """
        return await self.send(
            Call(
                "POST",
                f"/runs/{quoted(run_id)}/retry",
                models.Run,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def roll_back_migration(
        self,
        job_id: UUID | str,
        body: models.VectorsRollbackIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Job:
        """Roll back a migration.

        Serves the old collection again, with the changes since the switch.
        """
        return await self.send(
            Call(
                "POST",
                f"/vectors/jobs/{quoted(job_id)}/rollback",
                models.Job,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def roll_back_settings(self, body: models.CoordinatorRollbackIn | Mapping[str, Any]) -> models.Config:
        """Roll back the settings.

        An older version is stored as a new version; 409 if today's rules do not accept it.
        """
        return await self.send(
            Call(
                "POST",
                "/config/rollback",
                models.Config,
                body=body,
            )
        )

    async def rotate_key(self) -> models.Rotation:
        """Rotate the key.

        A rotation that has not finished is continued. `key.rotated` tells the end.
        """
        return await self.send(
            Call(
                "POST",
                "/keys/rotate",
                models.Rotation,
            )
        )

    async def rotate_trigger_secret(
        self, workflow_id: UUID | str, trigger_id: UUID | str, *, idempotency_key: str | None = None
    ) -> models.Secret:
        """Create a new secret for a webhook.

        It is shown only once; the previous secret stays valid for one day.
        """
        return await self.send(
            Call(
                "POST",
                f"/workflows/{quoted(workflow_id)}/triggers/{quoted(trigger_id)}/secret",
                models.Secret,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def rotate_webhook_secret(
        self, webhook_id: UUID | str, *, idempotency_key: str | None = None
    ) -> models.WebhookSecret:
        """Give a webhook another secret.

        For a day, requests are signed with the old one too.
        """
        return await self.send(
            Call(
                "POST",
                f"/webhooks/{quoted(webhook_id)}/secret",
                models.WebhookSecret,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def run_vector_batch(
        self, body: models.BatchIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Batch:
        """Run a batch of operations.

        Runs up to 1,000 operations in order, each with its own result. An invalid operation does not stop the others,
        unless `atomic_validation` is set: then no operation runs if any is invalid.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/batch",
                models.Batch,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def search_points(
        self, body: models.SearchIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Search:
        """Search for points.

        Finds the nearest points by vector, by text or like examples. `group_by` returns them in groups.

        In `message_vectors`, `text` asks for people: "who has trouble with …?". `group_by: contact` returns people with the
        messages that prove it. If nobody matches, the result is empty and `nobody` says why.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/search",
                models.Search,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def search_points_many(
        self, body: models.SearchesIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Searches:
        """Run several searches.

        All searches are of one collection.
        """
        return await self.send(
            Call(
                "POST",
                "/vectors/searches",
                models.Searches,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def send_test_event(self, webhook_id: UUID | str, *, idempotency_key: str | None = None) -> models.Tested:
        """Send an event of the type `webhook.test`.

        The log of deliveries has the answer within a minute.
        """
        return await self.send(
            Call(
                "POST",
                f"/webhooks/{quoted(webhook_id)}/test",
                models.Tested,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def set_log_level(self, body: models.LogLevelIn | Mapping[str, Any]) -> models.LogLevel:
        """Set the log level for some minutes.

        Functions that serve requests and steps follow within seconds.
        """
        return await self.send(
            Call(
                "PUT",
                "/log-level",
                models.LogLevel,
                body=body,
            )
        )

    async def set_quota(
        self,
        tenant_id: UUID | str,
        quota: Literal["emails", "model_tokens", "runs", "import_bytes", "webhooks", "stored_vectors"],
        body: models.QuotaIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.QuotaList:
        """Set a quota of a tenant.

        It counts at once; for stored vectors, within a minute.
        """
        return await self.send(
            Call(
                "PUT",
                f"/tenants/{quoted(tenant_id)}/quotas/{quoted(quota)}",
                models.QuotaList,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def set_up_totp(self, body: models.SetupIn | Mapping[str, Any]) -> models.Setup:
        """Set up an authenticator app.

        For the access token of somebody whose role needs a second factor.
        """
        return await self.send(
            Call(
                "POST",
                "/auth/totp/setup",
                models.Setup,
                body=body,
                anonymous=True,
            )
        )

    async def settle_email(
        self, email_id: UUID | str, body: models.SettleIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Email:
        """Settle an email that is `unknown`.

        Records whether it was sent; it is not sent again in either case.
        """
        return await self.send(
            Call(
                "POST",
                f"/emails/{quoted(email_id)}/settle",
                models.Email,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def show_unsubscribe_page(self, token: str) -> str:
        """Show the unsubscribe page.

        It changes nothing, since mail scanners open links.
        """
        return await self.send(
            Call(
                "GET",
                f"/unsubscribe/{quoted(token)}",
                str,
                anonymous=True,
            )
        )

    async def sign_in(
        self, body: models.Credentials | Mapping[str, Any]
    ) -> models.Tokens | models.NewPassword | models.Code:
        """Sign in.

        Returns an access token, which is valid for an hour, and a refresh token.

        It may return a `challenge` instead. `new_password`: the password was that of an invitation; choose your own at
        /auth/password. `totp`: enter a code of the authenticator app at /auth/totp.
        """
        return await self.send(
            Call(
                "POST",
                "/auth/token",
                models.Tokens | models.NewPassword | models.Code,
                body=body,
                anonymous=True,
            )
        )

    async def sign_out(self, body: models.RefreshIn | Mapping[str, Any]) -> None:
        """Sign out.

        Revokes the refresh token; access tokens end within an hour.
        """
        await self.send(
            Call(
                "POST",
                "/auth/logout",
                None,
                body=body,
                anonymous=True,
            )
        )

    async def start_manager(self, name: str, *, cascade: bool | None = None) -> models.Manager:
        """Start a manager.

        It processes what its queues retained.

        409 if a manager that it depends on is stopped; with `cascade`, that manager is started first.
        """
        return await self.send(
            Call(
                "POST",
                f"/managers/{quoted(name)}/start",
                models.Manager,
                query={
                    "cascade": cascade,
                },
            )
        )

    async def start_run(
        self, workflow_id: UUID | str, body: models.ExecuteIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Run:
        """Start a run of a workflow.

        It runs the newest version on behalf of the caller; follow it at /runs/{id}.
        """
        return await self.send(
            Call(
                "POST",
                f"/workflows/{quoted(workflow_id)}/execute",
                models.Run,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def start_run_by_get(self, token: str, *, secret: str | None = None) -> models.HookRun:
        """Start a run through a webhook with `auth: secret`, by a request without a body."""
        return await self.send(
            Call(
                "GET",
                f"/hooks/{quoted(token)}",
                models.HookRun,
                query={
                    "secret": secret,
                },
                anonymous=True,
            )
        )

    async def start_run_by_hook(
        self,
        token: str,
        body: Mapping[str, Any] | Mapping[str, Any],
        *,
        webhook_id: str | None = None,
        webhook_timestamp: str | None = None,
        webhook_signature: str | None = None,
        secret: str | None = None,
    ) -> models.HookRun:
        """Start a run through a webhook.

        The body is the run's inputs, signed as Standard Webhooks specifies.

        A webhook with `auth: secret` takes its secret instead: as a bearer token, as the password of Basic authentication,
        or as the parameter `secret`. The inputs are then `{method, query, headers, body}`. Repeating a webhook-id returns
        the same run. If the workflow answers its callers, the answer is what it says.
        """
        return await self.send(
            Call(
                "POST",
                f"/hooks/{quoted(token)}",
                models.HookRun,
                query={
                    "secret": secret,
                },
                headers={
                    "webhook-id": webhook_id,
                    "webhook-timestamp": webhook_timestamp,
                    "webhook-signature": webhook_signature,
                },
                body=body,
                anonymous=True,
            )
        )

    async def stop_manager(self, name: str, *, cascade: bool | None = None) -> models.Manager:
        """Stop a manager.

        Within five seconds, its routes respond with 503 `manager_stopped`.

        Its queues retain their messages, and its schedules do not fire. 409 if a running manager depends on it; with
        `cascade`, the dependents are stopped first. The manager stays stopped until it is started.
        """
        return await self.send(
            Call(
                "POST",
                f"/managers/{quoted(name)}/stop",
                models.Manager,
                query={
                    "cascade": cascade,
                },
            )
        )

    async def suspend_tenant(self, tenant_id: UUID | str, *, idempotency_key: str | None = None) -> models.Tenant:
        """Suspend a tenant.

        Its requests, runs and sends are refused from now on; nothing is deleted.
        """
        return await self.send(
            Call(
                "POST",
                f"/tenants/{quoted(tenant_id)}/suspend",
                models.Tenant,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def unsubscribe(self, token: str) -> str:
        """Unsubscribe a contact.

        For the page's button and a mail client's one-click request; repeating it is safe.
        """
        return await self.send(
            Call(
                "POST",
                f"/unsubscribe/{quoted(token)}",
                str,
                anonymous=True,
            )
        )

    async def update_contact(
        self,
        contact_id: UUID | str,
        body: models.ContactChange | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Contact:
        """Update a contact.

        Replaces the name and the attributes; the address cannot be changed.
        """
        return await self.send(
            Call(
                "PUT",
                f"/contacts/{quoted(contact_id)}",
                models.Contact,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def update_draft(
        self, draft_id: UUID | str, body: models.DraftEdit | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Draft:
        """Edit a draft before its approval.

        The approval shows the new hash, and only the new text can be sent. `sha256` is
        the hash of the text that you have read; if the draft has another one by now, the answer is 409.
        """
        return await self.send(
            Call(
                "PUT",
                f"/drafts/{quoted(draft_id)}",
                models.Draft,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def update_member(self, member_id: str, body: models.RoleIn | Mapping[str, Any]) -> models.Member:
        """Change a member's role.

        It counts from the next token on, within an hour. A tenant keeps at least one admin.
        """
        return await self.send(
            Call(
                "PUT",
                f"/members/{quoted(member_id)}",
                models.Member,
                body=body,
            )
        )

    async def update_retention(self, body: models.Retention | Mapping[str, Any]) -> models.Retention:
        """Change how long the tenant keeps its data.

        What is older is deleted within a day, and cannot be brought back.
        """
        return await self.send(
            Call(
                "PUT",
                "/retention",
                models.Retention,
                body=body,
            )
        )

    async def update_template(
        self,
        template_id: UUID | str,
        body: models.TemplateIn | Mapping[str, Any],
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Template:
        """Update a template.

        Stores a new version; existing drafts stay unchanged.
        """
        return await self.send(
            Call(
                "PUT",
                f"/templates/{quoted(template_id)}",
                models.Template,
                headers={
                    "if-match": if_match,
                },
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def update_webhook(
        self, webhook_id: UUID | str, body: models.WebhookIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Webhook:
        """Update a webhook.

        Replaces the URL and the types, and starts a stopped webhook again.
        """
        return await self.send(
            Call(
                "PUT",
                f"/webhooks/{quoted(webhook_id)}",
                models.Webhook,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def update_workflow(
        self,
        workflow_id: UUID | str,
        body: models.WorkflowIn | Mapping[str, Any],
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Workflow:
        """Update a workflow.

        This creates a new version; existing runs keep theirs.
        """
        return await self.send(
            Call(
                "PUT",
                f"/workflows/{quoted(workflow_id)}",
                models.Workflow,
                headers={
                    "if-match": if_match,
                },
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def validate_settings(self, body: models.PlatformSettings | Mapping[str, Any]) -> models.Validated:
        """Validate settings without storing them."""
        return await self.send(
            Call(
                "POST",
                "/config/validate",
                models.Validated,
                body=body,
            )
        )

    async def validate_workflow(
        self, body: models.WorkflowIn | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> models.Valid:
        """Validate a definition.

        Nothing is stored.
        """
        return await self.send(
            Call(
                "POST",
                "/workflows/validate",
                models.Valid,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

    async def withdraw_consent(
        self,
        contact_id: UUID | str,
        consent_id: UUID | str,
        body: models.WithdrawalIn | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> models.Consent:
        """Record that a consent was withdrawn.

        To send the person nothing more, suppress the address too.
        """
        return await self.send(
            Call(
                "POST",
                f"/contacts/{quoted(contact_id)}/consents/{quoted(consent_id)}/withdraw",
                models.Consent,
                body=body,
                idempotency_key=idempotency_key or str(uuid4()),
            )
        )

-- A row that is deleted is looked for in every table that refers to it: with an index, or by reading all tenants' rows.
set local search_path to email_sender;

create index messages_of_contact on messages (contact_id);
create index messages_of_thread on messages (thread_id);
create index drafts_of_contact on drafts (contact_id);
create index emails_of_contact on emails (contact_id);
create index emails_of_draft on emails (draft_id);
create index runs_by_workflow on runs (workflow_id);
create index triggers_by_workflow on triggers (workflow_id);
create index requests_of_notification on notification_requests (notification_id);
create index deliveries_of_notification on notification_deliveries (notification_id);

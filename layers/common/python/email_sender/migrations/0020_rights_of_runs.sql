-- A run has at most the rights of the person who published its version. Null: published before this was recorded.
alter table email_sender.workflow_versions add column published_role text;

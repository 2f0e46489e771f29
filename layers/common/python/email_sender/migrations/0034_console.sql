-- What the console's pages need: drafts that a person edits before the approval, and lists across workflows.
set local search_path to email_sender;

-- A draft changes only while an approval of it is pending. Its earlier hashes are kept, because the run's results name them.
alter table drafts
    add column earlier_hashes text[] not null default '{}',
    add column edited_by text,
    add column edited_at timestamptz;
grant update (content_enc, sha256, earlier_hashes, edited_by, edited_at) on drafts to app;

create index approvals_drafts on approvals using gin (drafts jsonb_path_ops);
create index runs_page on runs (tenant_id, id desc);
create index imports_page on imports (tenant_id, id desc);
create index emails_by_week on emails (tenant_id, created_at);
create index messages_of_answers on messages (answers_email_id) where answers_email_id is not null;

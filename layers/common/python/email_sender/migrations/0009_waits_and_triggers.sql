-- What steps wait for, runs that go on from others, and what starts runs by itself.
set local search_path to email_sender;

-- `lineage`: the runs this one goes on from, the first of them first. `passed`: waits that are over since then.
alter table runs
    add column lineage    uuid[] not null default '{}',
    add column passed     text[] not null default '{}',
    add column called_by  uuid references runs,
    add column depth      integer not null default 0,
    add column trigger_id uuid;
create index runs_called on runs (called_by) where called_by is not null;

-- A step that waits by task token for something of ours: a reply to an email, or the end of another run.
create table task_waits (
    tenant_id    uuid not null references tenants,
    run_id       uuid not null references runs,
    step         text not null,
    item         integer not null,
    kind         text not null check (kind in ('reply', 'run')),
    subject      uuid not null,
    task_token   text not null,
    asked_at     timestamptz not null,
    expires_at   timestamptz not null,
    delivered_at timestamptz,
    primary key (run_id, step, item)
);
create index task_waits_open on task_waits (tenant_id, kind, subject) where delivered_at is null;
select seal('task_waits', 'select, insert, update');

-- The answer to a mail of ours, noted once.
alter table emails
    add column replied_at timestamptz,
    add column reply_id   uuid;
create index emails_provider on emails (provider_message_id) where provider_message_id is not null;
-- A mail that arrives names what it answers, or whom it is for, and no tenant.
create policy directory on emails for select to platform using (true);
grant select (tenant_id, provider_message_id) on emails to platform;

-- What starts runs of a workflow's newest version. `state` says whether the rule or schedule of this name is there.
create table triggers (
    id            uuid primary key,
    tenant_id     uuid not null references tenants,
    workflow_id   uuid not null references workflows,
    kind          text not null check (kind in ('event', 'schedule', 'webhook')),
    definition    jsonb not null,
    state         text not null check (state in ('pending', 'active', 'refused', 'retiring', 'retired')),
    started_by    text not null,
    role          text not null,
    -- Webhooks: the secret, and the one before it until it ends.
    secret_enc    bytea,
    previous_enc  bytea,
    previous_ends timestamptz,
    -- What came of the last start.
    last_run_id   uuid,
    last_error    text,
    last_at       timestamptz,
    created_at    timestamptz not null default now()
);
create index triggers_of_workflow on triggers (tenant_id, workflow_id);
create index triggers_unsettled on triggers (tenant_id) where state in ('pending', 'retiring');
select seal('triggers', 'select, insert, update');
create policy directory on triggers for select to platform using (true);
grant select (id, tenant_id) on triggers to platform;

-- Workflows, their versions, runs, steps and approvals.
set local search_path to email_sender;

create table workflows (
    id         uuid primary key,
    tenant_id  uuid not null references tenants,
    name       varchar(255) not null,
    definition jsonb not null,
    status     varchar(50) not null default 'active' check (status in ('active', 'archived')),
    version    integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (tenant_id, name)
);
create index workflows_status on workflows (status);
select seal('workflows', 'select, insert, update');

create table workflow_versions (
    tenant_id    uuid not null,
    workflow_id  uuid not null references workflows,
    version      integer not null,
    definition   jsonb not null,
    published_by text not null,
    created_at   timestamptz not null default now(),
    primary key (workflow_id, version)
);
select seal('workflow_versions', 'select, insert');

create table runs (
    id            uuid primary key,
    tenant_id     uuid not null references tenants,
    workflow_id   uuid not null references workflows,
    version       integer not null,
    status        text not null check (status in ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled',
                                                  'timed_out')),
    inputs        jsonb not null,
    started_by    text not null,
    role          text not null,
    execution_arn text,
    error         jsonb,
    created_at    timestamptz not null default now(),
    started_at    timestamptz,
    finished_at   timestamptz
);
create index runs_of_workflow on runs (tenant_id, workflow_id, id desc);
create index runs_open on runs (tenant_id, created_at) where status in ('pending', 'running', 'waiting');
select seal('runs', 'select, insert, update');

-- One row an item of a for_each; item -1 is the step itself.
create table run_steps (
    tenant_id   uuid not null,
    run_id      uuid not null references runs,
    step        text not null,
    item        integer not null default -1,
    action      text not null,
    status      text not null check (status in ('waiting', 'succeeded', 'failed', 'skipped')),
    attempts    integer not null default 1,
    result      jsonb,
    error       jsonb,
    started_at  timestamptz not null,
    finished_at timestamptz,
    primary key (run_id, step, item)
);
select seal('run_steps', 'select, insert, update');

create table approvals (
    id           uuid primary key,
    tenant_id    uuid not null references tenants,
    run_id       uuid not null references runs,
    step         text not null,
    title        text not null,
    drafts       jsonb not null,
    task_token   text not null,
    status       text not null default 'pending' check (status in ('pending', 'approved', 'denied', 'expired')),
    decided_by   text,
    decided_role text,
    comment      text,
    requested_at timestamptz not null default now(),
    expires_at   timestamptz not null,
    decided_at   timestamptz,
    delivered_at timestamptz,
    unique (run_id, step)
);
create index approvals_page on approvals (tenant_id, status, id);
select seal('approvals', 'select, insert, update');

-- The engine's events name a run and no tenant: the platform finds whose it is, and sees nothing else of it.
create policy directory on runs for select to platform using (true);
grant select (id, tenant_id) on runs to platform;

-- Mailbox imports and what became of each part of them.
set local search_path to email_sender;

create table imports (
    id             uuid primary key,
    tenant_id      uuid not null references tenants,
    kind           text not null check (kind in ('mailbox')),
    status         text not null check (status in ('awaiting_upload', 'processing', 'completed', 'failed')),
    file_name      text not null,
    size_bytes     bigint not null,
    object_key     text not null,
    object_version text,
    execution_arn  text,
    chunks         integer,
    error          text,
    created_by     text not null,
    created_at     timestamptz not null default now(),
    started_at     timestamptz,
    finished_at    timestamptz
);
create index imports_open on imports (tenant_id, created_at) where status in ('awaiting_upload', 'processing');
select seal('imports', 'select, insert, update');

-- One row a chunk, written with what the chunk stored: a chunk done twice counts once.
create table import_chunks (
    tenant_id   uuid not null,
    import_id   uuid not null references imports,
    ordinal     integer not null,
    messages    integer not null,
    stored      integer not null,
    duplicates  integer not null,
    failed      integer not null,
    finished_at timestamptz not null default now(),
    primary key (import_id, ordinal)
);
select seal('import_chunks', 'select, insert, update');

create table import_errors (
    tenant_id uuid not null,
    import_id uuid not null references imports,
    ordinal   integer not null,
    reason    text not null,
    primary key (import_id, ordinal)
);
select seal('import_errors', 'select, insert');

-- An upload's event names an object and no tenant: the platform finds whose import it is, and sees nothing else of it.
create policy directory on imports for select to platform using (true);
grant select (id, tenant_id) on imports to platform;

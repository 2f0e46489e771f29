-- Which of the engine's collections is behind each name, and the jobs that copy one into another.
set local search_path to email_sender;

-- Of no tenant: a collection holds the points of all.
create table served_collections (
    name      text primary key,
    -- The engine's collection.
    stored_as text not null,
    size      integer not null check (size > 0),
    distance  text not null,
    model     text,
    lexical   boolean not null,
    -- Whether writes are noted in vector_changes, since a copy has to follow them.
    noted     boolean not null default false
);
grant select on served_collections to app, platform;
grant insert, update on served_collections to platform;

-- Points that were written while a copy is made, by the engine's ids: noted and committed before the engine is told.
-- The id of zeros stands for all points of the tenant. `claimed`: the copy is at it now.
create table vector_changes (
    tenant_id  uuid not null references tenants,
    collection text not null,
    point      uuid not null,
    claimed    boolean not null default false,
    primary key (collection, tenant_id, point)
);
select seal('vector_changes', 'select, insert, update');
create policy copying on vector_changes to platform using (true);
grant select, update, delete on vector_changes to platform;

create table vector_jobs (
    id            uuid primary key,
    tenant_id     uuid not null references tenants,
    kind          text not null check (kind in ('export', 'migration')),
    status        text not null check (status in
                  ('running', 'switched', 'rolling_back', 'rolled_back', 'finishing', 'completed', 'failed')),
    collection    text not null,
    -- Where points come from, and what the new collection is: vectors.job_model reads both.
    source        jsonb not null,
    target        jsonb not null,
    report        jsonb not null default '{}',
    error         text,
    execution_arn text,
    created_by    text not null,
    created_at    timestamptz not null,
    finished_at   timestamptz
);
-- One migration of a collection at a time, whoever starts it.
create unique index vector_jobs_one on vector_jobs (collection)
    where kind = 'migration' and status in ('running', 'switched', 'rolling_back', 'finishing');
create index vector_jobs_listed on vector_jobs (tenant_id, created_at desc, id desc);
select seal('vector_jobs', 'select, insert, update');

-- How far each part of a job is, so that one that was killed goes on from there.
create table vector_job_parts (
    tenant_id uuid not null references tenants,
    job_id    uuid not null references vector_jobs,
    phase     text not null check (phase in ('export', 'copy', 'compare')),
    ordinal   integer not null,
    -- The last point that was done.
    position  text,
    done      boolean not null default false,
    points    bigint not null default 0,
    -- Sum of the points' digests, modulo 2^64: the same points give the same in any order.
    checksum  numeric(20) not null default 0,
    sampled   bigint not null default 0,
    failed    bigint not null default 0,
    -- What was wrong with the first of them.
    reason    text,
    primary key (job_id, phase, ordinal)
);
select seal('vector_job_parts', 'select, insert, update');

-- A switch makes every kept answer of the collection old, whoever's it is.
create policy switching on vector_writes to platform using (true);
grant select (collection), update (version) on vector_writes to platform;

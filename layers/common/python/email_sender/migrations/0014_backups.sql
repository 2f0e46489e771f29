-- Backups: the role that reads everything and writes nothing, and what was backed up.
set local search_path to email_sender;

do $$
begin
    if not exists (select from pg_roles where rolname = 'backup') then create role backup nologin; end if;
end $$;
grant usage on schema email_sender to backup;
alter role backup set search_path to email_sender;
-- It is granted no write; this refuses one before it is looked at.
alter role backup set default_transaction_read_only to on;

-- Tables that are sealed are so by `seal` from here on; another one's migration says this itself.
create function readable_by_backup(name text) returns void language plpgsql as $$
begin
    execute format('grant select on email_sender.%I to backup', name);
    if (select relrowsecurity from pg_class where oid = format('email_sender.%I', name)::regclass) then
        execute format('create policy backup on email_sender.%I for select to backup using (true)', name);
    end if;
end $$;

create or replace function seal(name text, privileges text) returns void language plpgsql as $$
begin
    execute format('alter table email_sender.%I enable row level security', name);
    execute format('alter table email_sender.%I force row level security', name);
    execute format('create policy tenant on email_sender.%I to app using (tenant_id = email_sender.current_tenant())
                    with check (tenant_id = email_sender.current_tenant())', name);
    execute format('grant %s on email_sender.%I to app', privileges, name);
    perform email_sender.readable_by_backup(name);
end $$;

-- Of no tenant: a backup holds everybody's.
create table backups (
    id          uuid primary key,
    status      text not null default 'running' check (status in ('running', 'completed', 'failed')),
    started_at  timestamptz not null,
    finished_at timestamptz,
    location    text not null,
    -- What is in it, without the list of objects of points: that is in manifest.json alone.
    manifest    jsonb,
    reason      text
);
create index backups_age on backups (started_at);

-- Objects of points that were written, until the manifest names them.
create table backup_objects (
    backup_id  uuid not null references backups on delete cascade,
    collection text not null,
    part       integer not null,
    -- The last point of the page before, or nothing: so that of two that are at one part only one goes on.
    after      text not null,
    -- Its own last point.
    position   text not null,
    key        text not null,
    points     bigint not null,
    -- Sum of the points' digests, modulo 2^64.
    checksum   numeric(20) not null,
    bytes      bigint not null,
    sha256     text not null,
    primary key (backup_id, collection, part, after)
);
grant select, insert, update, delete on backups, backup_objects to platform;

-- Not the partitions of a table: they are read through it.
select readable_by_backup(c.relname)
from pg_class c
where c.relnamespace = 'email_sender'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition;

-- Managers: what is wanted of each and what is seen of it; and who did what, in a chain that shows a gap.
set local search_path to email_sender;

create table managers (
    id          uuid primary key,
    name        varchar(255) not null unique,
    status      varchar(50) not null check (status in ('not_configured', 'initializing', 'running', 'degraded', 'failed',
                                                       'stopping', 'stopped')),
    config      jsonb not null default '{}',
    desired     text not null default 'running' check (desired in ('running', 'stopped', 'restarted')),
    reason      text,
    figures     jsonb not null default '{}',
    revision    bigint not null default 0,
    observed_at timestamptz,
    changed_at  timestamptz,
    changed_by  text,
    -- When the observer's clock last rang; of the monitoring-manager alone.
    rang_at     timestamptz,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);
create index managers_status on managers (status);
-- Every sandbox asks which are stopped; more of it is the operators'.
grant select (name, desired) on managers to app;
grant select, insert, update on managers to platform;

-- Moves are told in the transaction that makes them.
grant insert on outbox to platform;

-- What the managers' figures count, over all tenants: no row of any.
grant select (status, created_at) on runs to platform;
grant select (status, created_at) on imports to platform;
grant select (status) on emails to platform;
grant select (state) on triggers to platform;
create index imports_unfinished on imports (status) where status in ('awaiting_upload', 'processing');
create index runs_unfinished on runs (status, created_at) where status in ('pending', 'running', 'waiting');
create index emails_unsettled on emails (status) where status in ('queued', 'sending', 'unknown');

create table audit_log (
    tenant_id uuid not null,
    sequence  bigint not null,
    at        timestamptz not null,
    subject   text not null,
    action    text not null,
    object    text not null,
    details   jsonb not null,
    previous  bytea not null,
    hash      bytea not null,
    primary key (tenant_id, sequence)
);
select seal('audit_log', 'select, insert');
create policy operators on audit_log to platform
    using (tenant_id = '00000000-0000-7000-8000-000000000000')
    with check (tenant_id = '00000000-0000-7000-8000-000000000000');
grant select, insert on audit_log to platform;

create function audit_hash(entry audit_log) returns bytea language sql immutable set search_path to email_sender, pg_temp as $$
    select sha256(entry.previous || convert_to(jsonb_build_array(
        entry.tenant_id, entry.sequence, extract(epoch from entry.at), entry.subject, entry.action, entry.object,
        entry.details)::text, 'UTF8'))
$$;

-- Each entry holds the hash of the one before it: what was changed or taken out breaks the chain from there on.
create function chain_audit() returns trigger language plpgsql set search_path to email_sender, pg_temp as $$
declare
    last audit_log;
begin
    perform pg_advisory_xact_lock(hashtextextended('audit/' || new.tenant_id, 0));
    select * into last from audit_log where tenant_id = new.tenant_id order by sequence desc limit 1;
    new.sequence := coalesce(last.sequence, 0) + 1;
    new.previous := coalesce(last.hash, ''::bytea);
    new.hash := audit_hash(new);
    return new;
end $$;
create trigger chain before insert on audit_log for each row execute function chain_audit();

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is only added to' using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete on audit_log for each row execute function refuse_change();

-- The first entry at which the chain of what one may see is broken, among the last `entries`; null where it is whole.
create function audit_broken_at(tenant uuid, entries bigint) returns bigint
    language sql stable set search_path to email_sender, pg_temp as $$
    with latest as (
        select a.sequence, a.previous, a.hash, audit_hash(a) as expected from audit_log a
        where a.tenant_id = tenant order by a.sequence desc limit entries
    ), linked as (
        select *, lag(hash) over (order by sequence) as before, lag(sequence) over (order by sequence) as number
        from latest
    )
    select min(sequence) from linked
    where hash <> expected or (number is not null and (before <> previous or number <> sequence - 1))
$$;
grant execute on function audit_broken_at to app, platform;

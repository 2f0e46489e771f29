-- Tenants, their keys, and the two roles that functions connect as. Neither role owns a table or bypasses row-level
-- security. Passwords and login rights are given by the deployment, never here.
create schema if not exists email_sender;
set local search_path to email_sender;

do $$
begin
    if not exists (select from pg_roles where rolname = 'app') then create role app nologin; end if;
    if not exists (select from pg_roles where rolname = 'platform') then create role platform nologin; end if;
end $$;
grant usage on schema email_sender to app, platform;
-- On the role, since RDS Proxy takes no start-up options.
alter role app set search_path to email_sender;
alter role platform set search_path to email_sender;

-- Null outside a tenant transaction: a policy that compares with null shows nothing.
create function current_tenant() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.tenant_id', true), '')::uuid;

-- Every tenant table is sealed by the same call, so that none is sealed differently.
create function seal(name text, privileges text) returns void language plpgsql as $$
begin
    execute format('alter table email_sender.%I enable row level security', name);
    execute format('alter table email_sender.%I force row level security', name);
    execute format('create policy tenant on email_sender.%I to app using (tenant_id = email_sender.current_tenant())
                    with check (tenant_id = email_sender.current_tenant())', name);
    execute format('grant %s on email_sender.%I to app', privileges, name);
end $$;

create table tenants (
    id         uuid primary key,
    name       text not null,
    kind       text not null default 'customer' check (kind in ('customer', 'platform')),
    mail_from  text,
    created_at timestamptz not null default now()
);
-- Not forced: the owner, who deploys, makes tenants.
alter table tenants enable row level security;
create policy own on tenants for select to app using (id = current_tenant());
create policy all_of_them on tenants for select to platform using (true);
grant select on tenants to app, platform;

-- Wrapped data keys. `content` encrypts bodies and addresses and may rotate; `index` keys the equality hashes and
-- must not: a hash made yesterday has to match tomorrow.
create table data_keys (
    tenant_id  uuid not null references tenants,
    purpose    text not null check (purpose in ('content', 'index')),
    version    integer not null,
    wrapped    bytea not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, purpose, version)
);
select seal('data_keys', 'select, insert');

-- Answers already given to an Idempotency-Key. `operation_id` becomes the id of what the request creates, so that a
-- repeat after a crash creates the same thing and not a second one.
create table idempotency (
    tenant_id    uuid not null,
    subject      text not null,
    route        text not null,
    key          text not null,
    body_hash    bytea not null,
    operation_id uuid not null,
    lease_until  timestamptz not null,
    status       integer,
    response     bytea,
    created_at   timestamptz not null default now(),
    primary key (tenant_id, subject, route, key)
);
create index idempotency_age on idempotency (created_at);
select seal('idempotency', 'select, insert, update, delete');

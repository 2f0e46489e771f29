-- Webhooks of tenants: which events go where, and what became of each.
set local search_path to email_sender;

-- For some time after a new secret, requests are signed with both.
create table webhooks (
    id                  uuid primary key,
    tenant_id           uuid not null,
    url_enc             bytea not null,
    types               text[] not null,
    secret_enc          bytea not null,
    previous_secret_enc bytea,
    previous_ends       timestamptz,
    stopped_reason      text,
    created_by          text not null,
    created_at          timestamptz not null default now()
);
create index webhooks_of_tenant on webhooks (tenant_id, id);
select seal('webhooks', 'select, insert, update, delete');

-- The id is made of the webhook and the event, so an event that comes again is delivered once.
create table webhook_deliveries (
    id              uuid primary key,
    tenant_id       uuid not null,
    webhook_id      uuid not null references webhooks on delete cascade,
    event_id        uuid not null,
    event_type      text not null,
    body_enc        bytea not null,
    state           text not null check (state in ('due', 'sending', 'delivered', 'failed')),
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null,
    created_at      timestamptz not null,
    delivered_at    timestamptz,
    status          integer,
    error           text
);
create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where state in ('due', 'sending');
create index webhook_deliveries_page on webhook_deliveries (webhook_id, created_at desc, id desc);
create index webhook_deliveries_age on webhook_deliveries (created_at);
select seal('webhook_deliveries', 'select, insert, update, delete');
-- The sweep finds the tenants with something due before it acts for them.
create policy sweeping on webhook_deliveries for select to platform using (true);
grant select (tenant_id, state, next_attempt_at, created_at) on webhook_deliveries to platform;

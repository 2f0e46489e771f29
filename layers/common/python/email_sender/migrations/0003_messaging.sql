-- Contacts, the mail they wrote, and the mail we send. Columns ending in _enc are AES-256-GCM under the tenant's
-- content key; columns ending in _hash are keyed hashes under its index key, for equality alone.
set local search_path to email_sender;

create table contacts (
    id           uuid primary key,
    tenant_id    uuid not null references tenants,
    address_hash bytea not null,
    address_enc  bytea not null,
    name_enc     bytea,
    attributes   jsonb not null default '{}',
    last_seen_at timestamptz,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    unique (tenant_id, address_hash)
);
create index contacts_page on contacts (tenant_id, id);
select seal('contacts', 'select, insert, update, delete');

create table threads (
    id         uuid primary key,
    tenant_id  uuid not null references tenants,
    created_at timestamptz not null default now()
);
select seal('threads', 'select, insert, delete');

create table messages (
    id               uuid primary key,
    tenant_id        uuid not null references tenants,
    import_id        uuid not null,
    message_hash     bytea not null,
    reference_hashes bytea[] not null default '{}',
    contact_id       uuid references contacts on delete cascade,
    thread_id        uuid references threads,
    sent_at          timestamptz,
    automatic        boolean not null default false,
    content_enc      bytea not null,
    problems         text[] not null default '{}',
    created_at       timestamptz not null default now(),
    unique (tenant_id, message_hash)
);
create index messages_contact on messages (tenant_id, contact_id, sent_at desc);
create index messages_import on messages (tenant_id, import_id);
create index messages_references on messages using gin (reference_hashes);
select seal('messages', 'select, insert, update, delete');

create table templates (
    id         uuid primary key,
    tenant_id  uuid not null references tenants,
    name       text not null,
    version    integer not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (tenant_id, name)
);
select seal('templates', 'select, insert, update, delete');

create table template_versions (
    tenant_id   uuid not null,
    template_id uuid not null references templates on delete cascade,
    version     integer not null,
    subject     text not null,
    body_text   text not null,
    body_html   text,
    variables   jsonb not null,
    created_by  text not null,
    created_at  timestamptz not null default now(),
    primary key (template_id, version)
);
select seal('template_versions', 'select, insert');

-- A draft never changes: what was approved by hash is what is sent.
create table drafts (
    id               uuid primary key,
    tenant_id        uuid not null references tenants,
    run_id           uuid not null,
    step             text not null,
    item             integer not null,
    contact_id       uuid not null references contacts on delete cascade,
    template_id      uuid not null,
    template_version integer not null,
    content_enc      bytea not null,
    sha256           text not null,
    created_at       timestamptz not null default now(),
    unique (tenant_id, run_id, step, item)
);
select seal('drafts', 'select, insert');

-- The row is committed as `sending` before the provider is called; see docs/guides/sending.md for every state.
create table emails (
    id                  uuid primary key,
    tenant_id           uuid not null references tenants,
    run_id              uuid not null,
    step                text not null,
    contact_id          uuid not null references contacts on delete cascade,
    draft_id            uuid not null references drafts,
    sha256              text not null,
    status              text not null check (status in ('queued', 'sending', 'sent', 'unknown', 'rejected',
                                                        'suppressed', 'delivered', 'bounced', 'complained')),
    lease_until         timestamptz not null,
    provider_message_id text,
    error               text,
    created_at          timestamptz not null default now(),
    sent_at             timestamptz,
    updated_at          timestamptz not null default now(),
    unique (tenant_id, run_id, step, contact_id)
);
create index emails_page on emails (tenant_id, id desc);
select seal('emails', 'select, insert, update');

create table suppressions (
    tenant_id    uuid not null references tenants,
    address_hash bytea not null,
    address_enc  bytea not null,
    reason       text not null check (reason in ('unsubscribed', 'bounced', 'complained', 'manual')),
    created_at   timestamptz not null default now(),
    primary key (tenant_id, address_hash)
);
select seal('suppressions', 'select, insert, delete');

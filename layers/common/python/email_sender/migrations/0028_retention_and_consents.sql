-- How many days a tenant keeps a kind of data, and what people consented to.
set local search_path to email_sender;

create table retention (
    tenant_id uuid not null references tenants,
    kind      text not null check (kind in ('messages', 'runs')),
    days      integer not null check (days >= 1),
    primary key (tenant_id, kind)
);
select seal('retention', 'select, insert, update, delete');
create index runs_finished on runs (tenant_id, finished_at) where finished_at is not null;

-- Since when the inputs and results of a run are empty: such a run cannot be repeated.
alter table runs add column emptied_at timestamptz;

-- `proof_enc` is what shows the consent, such as the text of a form. A withdrawn consent stays, as a record.
create table consents (
    id           uuid primary key,
    tenant_id    uuid not null references tenants,
    contact_id   uuid not null references contacts on delete cascade,
    purpose      text not null,
    source       text not null,
    proof_enc    bytea,
    given_at     timestamptz not null,
    withdrawn_at timestamptz,
    created_at   timestamptz not null default now()
);
create index consents_of_contact on consents (contact_id);
select seal('consents', 'select, insert, update, delete');

-- What a received mail is, whose it is, and what servers reported about the mail that was sent.
set local search_path to email_sender;

-- Other addresses of a tenant: mail to them is its mail, and mail from them is not a contact's.
alter table tenants add column aliases text[] not null default '{}';

-- `kind` and `kind_sign`: who wrote the message, and what shows it. `verdict`: the check of SES that it failed.
-- `answers_email_id`: the email that it answers. An uncertain answer waits here until somebody has looked.
alter table messages
    add column kind             text not null default 'person',
    add column kind_sign        text not null default '',
    add column verdict          text,
    add column answers_email_id uuid;
create index messages_uncertain on messages (tenant_id, id) where kind = 'uncertain' and answers_email_id is not null;

-- `other_reply_*`: the first answer of a person who is not the contact. `bounce_type`: a temporary bounce is undone by a
-- delivery, a permanent one is not.
alter table emails
    add column other_replied_at timestamptz,
    add column other_reply_id   uuid,
    add column bounce_type      text check (bounce_type in ('permanent', 'temporary'));
alter table task_waits add column accepts_others boolean not null default false;

-- What servers reported about an email, in the order of arrival. A repeated report is one row.
create table email_reports (
    tenant_id uuid not null references tenants,
    email_id  uuid not null references emails on delete cascade,
    kind      text not null,
    detail    text not null default '',
    at        timestamptz not null,
    primary key (email_id, kind, at)
);
select seal('email_reports', 'select, insert');

-- Temporary bounces by address. Several within some weeks suppress the address.
create table temporary_bounces (
    tenant_id    uuid not null references tenants,
    address_hash bytea not null,
    email_id     uuid not null,
    at           timestamptz not null,
    primary key (tenant_id, address_hash, email_id)
);
select seal('temporary_bounces', 'select, insert, delete');

-- Received mail that belongs to no tenant. It stays in the bucket; only its place and the reason are kept here.
create table unclaimed_mail (
    id             uuid primary key,
    object_key     text not null,
    object_version text,
    recipients     text[] not null,
    reason         text not null,
    received_at    timestamptz not null
);
create index unclaimed_mail_page on unclaimed_mail (received_at desc, id desc);
grant select, insert, update, delete on unclaimed_mail to platform;
select readable_by_backup('unclaimed_mail');

-- The language of a template's dates, and the messages that a draft quotes: only its contact may have written them.
alter table template_versions add column language text not null default 'en';
alter table drafts add column evidence uuid[] not null default '{}';

-- A deleted contact. The keyed hash of the address outlives the person, so that the unsubscribe link keeps working. The
-- points of its messages and the uploaded files with its mail are deleted by the sweep of imports.
create table deleted_contacts (
    tenant_id    uuid not null references tenants,
    contact_id   uuid not null,
    address_hash bytea not null,
    message_ids  uuid[] not null,
    import_ids   uuid[] not null,
    deleted_at   timestamptz not null default now(),
    cleaned_at   timestamptz,
    primary key (tenant_id, contact_id)
);
create index deleted_contacts_open on deleted_contacts (tenant_id) where cleaned_at is null;
select seal('deleted_contacts', 'select, insert, update');

-- The address of a contact that was deleted before it unsubscribed is not known any more.
alter table suppressions alter column address_enc drop not null;

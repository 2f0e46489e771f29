-- People who were erased. The keyed hash of the address stays, so that nobody imports or mails them again. `counts` says
-- how many rows of each kind were erased; `recorded_at`: when the erasure was stored beside the backups, for restores.
set local search_path to email_sender;

create table erasures (
    tenant_id    uuid not null references tenants,
    contact_id   uuid not null,
    address_hash bytea not null,
    erased_by    text not null,
    erased_at    timestamptz not null,
    counts       jsonb not null,
    recorded_at  timestamptz,
    primary key (tenant_id, contact_id)
);
create index erasures_open on erasures (tenant_id) where recorded_at is null;
select seal('erasures', 'select, insert, update');

alter table suppressions drop constraint suppressions_reason_check;
alter table suppressions add constraint suppressions_reason_check
    check (reason in ('unsubscribed', 'bounced', 'complained', 'manual', 'erased'));

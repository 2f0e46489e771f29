-- Seals of the audit log: a keyed hash of an entry's hash. Somebody who owns the database can compute the hashes of a
-- changed chain anew, but not its seals.
set local search_path to email_sender;

create table audit_seals (
    tenant_id uuid not null,
    sequence  bigint not null,
    hash      bytea not null,
    mac       bytea not null,
    sealed_at timestamptz not null,
    primary key (tenant_id, sequence)
);
select seal('audit_seals', 'select, insert');
create trigger append_only before update or delete on audit_seals for each row execute function refuse_change();

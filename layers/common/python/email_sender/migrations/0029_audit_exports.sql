-- Up to which entry the audit log was exported for a SIEM.
set local search_path to email_sender;

create table audit_exports (
    tenant_id uuid primary key references tenants,
    sequence  bigint not null
);
select seal('audit_exports', 'select, insert, update');

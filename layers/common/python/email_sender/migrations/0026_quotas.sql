-- What a tenant may use in a day (UTC), where that differs from the default, and what it has used. For stored vectors,
-- `used` is the last count, under the day 1970-01-01.
set local search_path to email_sender;

create table tenant_quotas (
    tenant_id uuid not null references tenants,
    kind      text not null,
    allowed   bigint not null check (allowed >= 0),
    primary key (tenant_id, kind)
);
select seal('tenant_quotas', 'select');
create policy operators on tenant_quotas to platform using (true) with check (true);
grant select, insert, update, delete on tenant_quotas to platform;

create table quota_use (
    tenant_id uuid not null references tenants,
    kind      text not null,
    day       date not null,
    used      bigint not null,
    primary key (tenant_id, kind, day)
);
select seal('quota_use', 'select, insert, update, delete');
create policy operators on quota_use for select to platform using (true);
grant select on quota_use to platform;

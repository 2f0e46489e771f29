-- A tenant is deleted seven days after an operator asked for it. Its row stays, without its name, so that a restore
-- and other stores know that it was deleted.
set local search_path to email_sender;

alter table tenants add column deletes_at timestamptz, add column deleted_at timestamptz;
grant update (deletes_at, deleted_at, name, mail_from, aliases) on tenants to platform;

-- Only delete_tenant_rows sets it; every other transaction sees null.
create function deleted_tenant() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.deleted_tenant', true), '')::uuid;

-- The owner of the tables sees no rows either, because row-level security is forced: this lets delete_tenant_rows, which
-- runs as the owner, see the rows of the tenant that it deletes.
create function admit_deletion(name text) returns void language plpgsql set search_path to email_sender, pg_temp as $$
begin
    execute format('create policy deletion on email_sender.%I to current_user
                    using (tenant_id = email_sender.deleted_tenant())', name);
end $$;
revoke execute on function admit_deletion from public;

do $$
declare
    sealed text;
begin
    for sealed in select relname from pg_class
        where relnamespace = 'email_sender'::regnamespace and relforcerowsecurity and not relispartition loop
        perform admit_deletion(sealed);
    end loop;
end $$;

create or replace function seal(name text, privileges text) returns void language plpgsql as $$
begin
    execute format('alter table email_sender.%I enable row level security', name);
    execute format('alter table email_sender.%I force row level security', name);
    execute format('create policy tenant on email_sender.%I to app using (tenant_id = email_sender.current_tenant())
                    with check (tenant_id = email_sender.current_tenant())', name);
    execute format('grant %s on email_sender.%I to app', privileges, name);
    perform email_sender.readable_by_backup(name);
    perform email_sender.admit_deletion(name);
end $$;

create or replace function refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.tenant_id = email_sender.deleted_tenant() then
        return old;
    end if;
    raise exception 'the audit log is only added to' using errcode = 'insufficient_privilege';
end $$;

-- Delete every row of a tenant whose time has come. Returns how many rows there were. Tables that others refer to are
-- tried again after those.
create function delete_tenant_rows(tenant uuid) returns bigint language plpgsql security definer
set search_path to email_sender, pg_temp as $$
declare
    name     text;
    deleted  bigint;
    total    bigint := 0;
    blocked  text[];
    previous text[];
begin
    if not exists (select from tenants where id = tenant and kind = 'customer' and deletes_at <= now()) then
        raise exception 'the tenant % is not to be deleted now', tenant;
    end if;
    perform set_config('app.deleted_tenant', tenant::text, true);
    loop
        blocked := '{}';
        for name in select c.relname from pg_class c
            where c.relnamespace = 'email_sender'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
              and exists (select from pg_attribute a
                          where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
            order by c.relname loop
            begin
                execute format('delete from %I where tenant_id = $1', name) using tenant;
                get diagnostics deleted = row_count;
                total := total + deleted;
            exception when foreign_key_violation then
                blocked := blocked || name;
            end;
        end loop;
        exit when blocked = '{}';
        if blocked = previous then
            raise exception 'rows of other tenants refer to rows of %: %', tenant, blocked;
        end if;
        previous := blocked;
    end loop;
    perform set_config('app.deleted_tenant', '', true);
    return total;
end $$;
revoke execute on function delete_tenant_rows from public;
grant execute on function delete_tenant_rows to platform;

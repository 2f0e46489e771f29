-- The gateway's own role: it records sign-ins, and reads which managers are stopped. It can read nothing of a tenant.
set local search_path to email_sender;

do $$
begin
    if not exists (select from pg_roles where rolname = 'gateway') then create role gateway nologin; end if;
end $$;
grant usage on schema email_sender to gateway;
alter role gateway set search_path to email_sender;
grant select (name, desired) on managers to gateway;

-- record_sign_in runs as the owner, from whom forced row-level security hides the log. The hash chain needs its end.
create policy sign_ins on audit_log to current_user using (tenant_id = current_tenant())
    with check (tenant_id = current_tenant());

-- Returns false, and records nothing, if the tenant is suspended or does not exist.
create function record_sign_in(tenant uuid, person text) returns boolean language plpgsql security definer
set search_path to email_sender, pg_temp as $$
begin
    if not exists (select from tenants where id = tenant and suspended_at is null and deleted_at is null) then
        return false;
    end if;
    perform set_config('app.tenant_id', tenant::text, true);
    insert into audit_log (tenant_id, at, subject, action, object, details)
    values (tenant, now(), person, 'session.started', person, '{}');
    return true;
end $$;
revoke execute on function record_sign_in from public;
grant execute on function record_sign_in to gateway;

-- Operators add and suspend tenants. A suspended tenant's data cannot be reached by any function.
set local search_path to email_sender;

alter table tenants add column suspended_at timestamptz;
grant insert (id, name, kind, mail_from, created_at), update (suspended_at) on tenants to platform;
create policy customers_added on tenants for insert to platform with check (kind = 'customer');
create policy customers_changed on tenants for update to platform
    using (kind = 'customer') with check (kind = 'customer');

-- Begin a tenant's transaction. Returns since when the tenant is suspended, or null.
create function enter_tenant(tenant uuid) returns timestamptz language plpgsql as $$
begin
    perform set_config('app.tenant_id', tenant::text, true);
    return (select suspended_at from email_sender.tenants where id = tenant);
end $$;

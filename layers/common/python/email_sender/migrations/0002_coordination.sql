-- The outbox, the recorded events, and who may speak for whom on the bus.
set local search_path to email_sender;

-- A row is written with the change it tells of, and stays until the recorder has stored the event: the bus and the
-- queues in between may forget. `sequence` orders the events of one aggregate, whose changes are serialised by locks.
create table outbox (
    sequence        bigint generated always as identity primary key,
    id              uuid not null unique,
    tenant_id       uuid not null,
    source          text not null,
    type            text not null,
    detail          jsonb not null,
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null default now() + interval '15 seconds',
    created_at      timestamptz not null default now()
);
create index outbox_due on outbox (next_attempt_at);
select seal('outbox', 'select, insert');
create policy relay on outbox to platform using (true);
grant select, update, delete on outbox to platform;

create table events (
    id             uuid not null,
    type           varchar(128) not null,
    payload        jsonb not null,
    source         varchar(256) not null,
    created_at     timestamptz not null default now(),
    tenant_id      uuid not null,
    aggregate_id   text,
    sequence       bigint,
    occurred_at    timestamptz not null,
    correlation_id text,
    causation_id   text,
    primary key (occurred_at, id)
) partition by range (occurred_at);
create table events_default partition of events default;
create index events_type on events (type, created_at);
create index events_tenant on events (tenant_id, occurred_at desc, id desc);
create index events_correlation on events (tenant_id, correlation_id);
select seal('events', 'select');
create policy recorder on events to platform using (true) with check (true);
grant select, insert on events to platform;

-- Monthly partitions, made ahead of time; what lies outside them goes to the default partition, so nothing is refused.
create function ensure_event_partitions(first_month date, months integer) returns void
    language plpgsql security definer set search_path to email_sender, pg_temp as $$
declare
    month date;
begin
    for n in 0 .. months - 1 loop
        month := (date_trunc('month', first_month) + make_interval(months => n))::date;
        if to_regclass(format('email_sender.events_%s', to_char(month, 'YYYYMM'))) is null
           and not exists (select from events_default
                           where occurred_at >= month and occurred_at < month + interval '1 month') then
            execute format('create table events_%s partition of events for values from (%L) to (%L)',
                           to_char(month, 'YYYYMM'), month::timestamptz, (month + interval '1 month')::timestamptz);
        end if;
    end loop;
end $$;
revoke all on function ensure_event_partitions from public;
grant execute on function ensure_event_partitions to platform;
select ensure_event_partitions(current_date, 13);

-- Another system belongs to a tenant because it is registered here, never because its event says so.
create table event_sources (
    account    text not null,
    source     text not null,
    tenant_id  uuid not null references tenants,
    created_at timestamptz not null default now(),
    primary key (account, source)
);
select seal('event_sources', 'select');
create policy recorder on event_sources for select to platform using (true);
grant select on event_sources to platform;

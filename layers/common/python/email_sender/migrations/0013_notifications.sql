-- Who is told of what: a tenant's channels, what it was asked to be told, and each telling.
set local search_path to email_sender;

create table notification_channels (
    id         uuid primary key,
    tenant_id  uuid not null,
    kind       text not null check (kind in ('mail', 'webhook', 'log')),
    name       text not null,
    min_level  text not null check (min_level in ('info', 'warning', 'critical')),
    target_enc bytea,
    secret_enc bytea,
    created_at timestamptz not null default now(),
    unique (tenant_id, name)
);
select seal('notification_channels', 'select, insert, delete');

-- Repeats of a key are folded into the open one: `count` were asked for, `told` of them were passed on.
create table notifications (
    id          uuid primary key,
    tenant_id   uuid not null,
    key_hash    bytea not null,
    level       text not null check (level in ('info', 'warning', 'critical')),
    content_enc bytea not null,
    count       integer not null,
    told        integer not null,
    first_at    timestamptz not null,
    last_at     timestamptz not null,
    window_ends timestamptz not null,
    closed      boolean not null default false
);
create unique index notifications_open on notifications (tenant_id, key_hash) where not closed;
create index notifications_page on notifications (tenant_id, id desc);
create index notifications_windows on notifications (tenant_id, window_ends) where not closed;
select seal('notifications', 'select, insert, update, delete');

-- Which events asked: one that comes again asks for nothing new.
create table notification_requests (
    tenant_id       uuid not null,
    event_id        uuid not null,
    notification_id uuid not null references notifications on delete cascade,
    at              timestamptz not null,
    primary key (tenant_id, event_id)
);
create index notification_requests_age on notification_requests (tenant_id, at);
select seal('notification_requests', 'select, insert, delete');

-- `channel_id` null: the log, where a tenant has no channel.
create table notification_deliveries (
    id              uuid primary key,
    tenant_id       uuid not null,
    notification_id uuid not null references notifications on delete cascade,
    channel_id      uuid references notification_channels on delete cascade,
    repeats         integer not null,
    state           text not null check (state in ('due', 'sending', 'delivered', 'failed')),
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null,
    delivered_at    timestamptz,
    error           text
);
create index notification_deliveries_due on notification_deliveries (tenant_id, next_attempt_at)
    where state in ('due', 'sending');
create index notification_deliveries_of on notification_deliveries (tenant_id, notification_id);
create index notification_deliveries_rate on notification_deliveries (channel_id, delivered_at) where state = 'delivered';
select seal('notification_deliveries', 'select, insert, update, delete');
create policy counting on notification_deliveries for select to platform using (true);
grant select (state) on notification_deliveries to platform;

-- What consumers could not do, once their queues gave up: why, since when, how often, and what became of it.
set local search_path to email_sender;

-- The same message of the same consumer is one row, however often it comes back.
create table failed_events (
    id          uuid primary key,
    consumer    text not null,
    digest      bytea not null,
    body        text not null,
    reason      text not null,
    status      text not null check (status in ('failed', 'redriven', 'parked')),
    times       integer not null default 1,
    first_seen  timestamptz not null,
    last_seen   timestamptz not null,
    redriven_at timestamptz,
    redriven_by text,
    unique (consumer, digest)
);
create index failed_events_page on failed_events (last_seen desc, id desc) where status <> 'redriven';
-- Bodies may be any tenant's: no tenant's role sees them, and operators are shown what names them, not what they say.
grant select, insert, update, delete on failed_events to platform;

-- Circuit breakers, by the sandbox that has one: a row is written when one opens or closes, not by every call.
create table circuit_breakers (
    dependency text not null,
    sandbox    text not null,
    state      text not null check (state in ('closed', 'open', 'half-open')),
    changed_at timestamptz not null default now(),
    primary key (dependency, sandbox)
);
create index circuit_breakers_open on circuit_breakers (changed_at) where state <> 'closed';
grant select, insert, update on circuit_breakers to app;
grant select, delete on circuit_breakers to platform;

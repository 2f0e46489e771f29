-- Counters and histograms since the first deployment, for GET /metrics. CloudWatch keeps no totals and no buckets.
set local search_path to email_sender;

create table metric_totals (
    name    text not null,
    labels  jsonb not null,
    count   bigint not null,
    sum     double precision not null,
    -- How many values each bucket of a histogram has, not cumulated; null for a counter.
    buckets bigint[],
    primary key (name, labels)
);
grant select, insert, update on metric_totals to platform;
grant select on metric_totals to gateway;

-- CloudWatch Logs can deliver a batch of lines twice.
create table metric_batches (
    id         bytea primary key,
    counted_at timestamptz not null default now()
);
create index metric_batches_counted_at on metric_batches (counted_at);
grant select, insert, delete on metric_batches to platform;

grant select (status, figures, observed_at) on managers to gateway;

select readable_by_backup('metric_totals');
select readable_by_backup('metric_batches');

-- What the runs of a workflow have seen: the memory of n8n's node that removes duplicates across executions.
set local search_path to email_sender;

-- (run_id, step, number) is the request that brought the value, so that a repeated step sees it as new again. The run is
-- the first one of those that go on from each other. `scope` is the node, or empty for all nodes of the workflow.
create table seen_values (
    tenant_id   uuid not null,
    workflow_id uuid not null references workflows on delete cascade,
    scope       text not null,
    value_hash  bytea not null,
    run_id      uuid not null,
    step        text not null,
    number      integer not null,
    primary key (tenant_id, workflow_id, scope, value_hash)
);
create index seen_values_workflow on seen_values (workflow_id);
select seal('seen_values', 'select, insert, update, delete');

-- The highest number or time that a node has seen, and the one before the request that is named.
create table reached_values (
    tenant_id   uuid not null,
    workflow_id uuid not null references workflows on delete cascade,
    scope       text not null,
    value       double precision not null,
    previous    double precision,
    run_id      uuid not null,
    step        text not null,
    number      integer not null,
    primary key (tenant_id, workflow_id, scope)
);
create index reached_values_workflow on reached_values (workflow_id);
select seal('reached_values', 'select, insert, update, delete');

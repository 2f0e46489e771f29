-- What the runs of a workflow have seen: the memory of n8n's node that removes duplicates across executions.
set local search_path to email_sender;

-- (run_id, step, place) is the question that brought the value: the first of the runs that go on from each other, its
-- step, and the number of the question in this scope, from 0. So a repeated step sees the value as new again. `scope` is
-- the node, or empty for all nodes of the workflow.
create table seen_values (
    tenant_id   uuid not null,
    workflow_id uuid not null references workflows on delete cascade,
    scope       text not null,
    value_hash  bytea not null,
    run_id      uuid not null,
    step        text not null,
    place       integer not null,
    primary key (tenant_id, workflow_id, scope, value_hash)
);
create index seen_values_workflow on seen_values (workflow_id);
select seal('seen_values', 'select, insert, update, delete');

-- The highest number or time in a scope.
create table reached_values (
    tenant_id   uuid not null,
    workflow_id uuid not null references workflows on delete cascade,
    scope       text not null,
    value       double precision not null,
    primary key (tenant_id, workflow_id, scope)
);
create index reached_values_workflow on reached_values (workflow_id);
select seal('reached_values', 'select, insert, update, delete');

-- The highest one before each question, which gets the same answer when it is repeated. Null: there was none.
create table reached_before (
    tenant_id uuid not null,
    run_id    uuid not null references runs on delete cascade,
    step      text not null,
    scope     text not null,
    place     integer not null,
    value     double precision,
    primary key (tenant_id, run_id, step, scope, place)
);
create index reached_before_run on reached_before (run_id);
select seal('reached_before', 'select, insert, update, delete');

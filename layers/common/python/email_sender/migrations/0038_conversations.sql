-- What was said in the sessions of agents, in all runs of a workflow: the memory of imported n8n agents.
set local search_path to email_sender;

-- (run_id, step, number) is the request that stored the turns, so that a repeated step stores them once. They are kept
-- as long as the run is.
create table conversations (
    tenant_id    uuid not null,
    workflow_id  uuid not null references workflows on delete cascade,
    session_hash bytea not null,
    run_id       uuid not null references runs on delete cascade,
    step         text not null,
    number       integer not null,
    said_at      timestamptz not null,
    turns_enc    bytea not null,
    primary key (tenant_id, run_id, step, number)
);
create index conversations_session on conversations (tenant_id, workflow_id, session_hash, said_at desc);
create index conversations_run on conversations (run_id);
create index conversations_workflow on conversations (workflow_id);
select seal('conversations', 'select, insert, update, delete');

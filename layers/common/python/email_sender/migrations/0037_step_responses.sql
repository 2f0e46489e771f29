-- Responses to the requests of a step that sends several: a step that is repeated does not send those again.
set local search_path to email_sender;

-- `asked_at` is the time that the step's first attempt began: a repeated step goes by the same time.
create table step_responses (
    tenant_id    uuid not null,
    run_id       uuid not null references runs on delete cascade,
    step         text not null,
    number       integer not null,
    asked_at     timestamptz not null,
    response_enc bytea not null,
    primary key (tenant_id, run_id, step, number)
);
create index step_responses_run on step_responses (run_id);
select seal('step_responses', 'select, insert, update, delete');

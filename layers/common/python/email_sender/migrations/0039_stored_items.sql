-- Items that steps of imported n8n workflows give, if they are too large for the state of an execution.
set local search_path to email_sender;

-- A list of items, in parts. `id` is what a step's result says in their place. `first` is the place of a part's first
-- item in the list. `term_hashes` are those of the mail addresses and ids in it, so that a person can be erased from it.
-- They have no index: under row security, PostgreSQL would not use one, since the operator of arrays is not leakproof.
create table stored_items (
    tenant_id   uuid not null,
    id          uuid not null,
    number      integer not null,
    run_id      uuid not null references runs on delete cascade,
    step        text not null,
    first       integer not null,
    count       integer not null,
    term_hashes bytea[] not null,
    items_enc   bytea not null,
    primary key (tenant_id, id, number)
);
create index stored_items_run on stored_items (run_id);
select seal('stored_items', 'select, insert, update, delete');

-- Steps that wait for an answer at a callback URL.
set local search_path to email_sender;

alter table task_waits
    drop constraint task_waits_kind_check,
    add constraint task_waits_kind_check check (kind in ('reply', 'run', 'callback')),
    -- What was posted to the callback URL: {"result": …} or {"error": "…"}. Removed once the step has it. As text, so that
    -- fields keep their order and numbers their length.
    add column answer      json,
    add column answered_at timestamptz;
-- Whoever posts to a callback URL names its wait.
create index task_waits_callbacks on task_waits (subject) where kind = 'callback';

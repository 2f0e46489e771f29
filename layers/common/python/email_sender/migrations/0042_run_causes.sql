-- How runs were started: branches of imported workflows depend on it.
set local search_path to email_sender;

alter table runs
    add column cause text not null default 'request'
        constraint runs_cause check (cause in ('request', 'call', 'event', 'schedule', 'webhook'));

-- The parts of a message that are embedded one by one (archive/search/passages.py), and the model that embedded them.
set local search_path to email_sender;

alter table messages add column passages bytea, add column passages_model text;

-- A repair removes points whose messages no longer exist.
alter table vector_jobs drop constraint vector_jobs_kind_check,
    add constraint vector_jobs_kind_check check (kind in ('export', 'migration', 'repair'));
alter table vector_job_parts drop constraint vector_job_parts_phase_check,
    add constraint vector_job_parts_phase_check check (phase in ('export', 'copy', 'compare', 'repair'));

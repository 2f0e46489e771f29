-- The trace that a run belongs to, as W3C's traceparent: the trace of whatever started it.
set local search_path to email_sender;

alter table runs add column traceparent text;

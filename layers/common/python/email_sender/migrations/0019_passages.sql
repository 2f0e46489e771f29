-- The parts of a message that are embedded one by one (archive/search/passages.py), and the model that embedded them.
set local search_path to email_sender;

alter table messages add column passages bytea, add column passages_model text;

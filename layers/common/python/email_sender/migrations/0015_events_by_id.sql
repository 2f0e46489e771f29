-- An event that comes again is looked for by its id alone; without this, in every row of every month.
set local search_path to email_sender;

create index events_id on events (id);

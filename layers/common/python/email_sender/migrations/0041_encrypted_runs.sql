-- Inputs, results and errors of runs, and attributes of contacts, are encrypted with the tenant's key.
set local search_path to email_sender;

-- The columns without `_enc` keep what older code wrote until the daily work on keys encrypts it. Then they are empty.
-- `term_hashes` are those of the mail addresses and ids in the encrypted values, as in stored_items. `error_name` and
-- `email_id` are what the story of an email needs, and say nothing of a person.
alter table runs
    add column inputs_enc bytea,
    add column error_enc bytea,
    add column error_name text,
    add column term_hashes bytea[] not null default '{}';
alter table run_steps
    add column result_enc bytea,
    add column error_enc bytea,
    add column error_name text,
    add column email_id uuid,
    add column term_hashes bytea[] not null default '{}';

-- `tag_hashes` are those of the contact's tags, by which people are selected. `search_hashes` are those of how the words
-- of its name and address begin; null: older code stored the contact, and the daily work on keys adds them.
alter table contacts
    add column attributes_enc bytea,
    add column tag_hashes bytea[] not null default '{}',
    add column search_hashes bigint[];

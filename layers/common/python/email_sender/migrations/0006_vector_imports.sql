-- Imports of vectors, beside those of mailboxes.
set local search_path to email_sender;

alter table imports
    drop constraint imports_kind_check,
    add constraint imports_kind_check check (kind in ('mailbox', 'vectors')),
    add column collection       text,
    add column format           text check (format in ('ndjson', 'npy', 'parquet')),
    -- A second file with ids and payloads, where one was announced.
    add column payloads_bytes   bigint,
    add column payloads_version text,
    add constraint imports_of_vectors_name_a_place
        check ((kind = 'vectors') = (collection is not null and format is not null));

-- A row's place is its chunk and its number there, in one number: its number in the file is known once the chunks
-- before it were counted.
alter table import_errors alter column ordinal type bigint;

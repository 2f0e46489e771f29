-- What the caches of vectors go by.
set local search_path to email_sender;

-- Another version with every write: a search's kept answer is good while it stands. Random, so that a database that
-- was restored cannot come to a version it had before.
create table vector_writes (
    tenant_id  uuid not null references tenants,
    collection text not null,
    version    uuid not null default gen_random_uuid(),
    primary key (tenant_id, collection)
) with (fillfactor = 50);
select seal('vector_writes', 'select, insert, update');

-- Texts are named by their SHA-256 and are not here. Unlogged: a crash empties it, and it is filled again.
create unlogged table embeddings (
    tenant_id  uuid not null,
    model      text not null,
    text_hash  bytea not null check (length(text_hash) = 32),
    -- Little-endian float32.
    vector     bytea not null,
    expires_at timestamptz not null,
    primary key (tenant_id, model, text_hash)
);
create index embeddings_expired on embeddings (expires_at);
select seal('embeddings', 'select, insert, update, delete');

-- The content keys of tenants rotate: a new version is added, encrypts from `active_at` on, and after `finished_at` no
-- value needs an older one. Functions remember keys for minutes, so `active_at` is later than `created_at`.
set local search_path to email_sender;

alter table data_keys add column active_at timestamptz not null default now(), add column finished_at timestamptz;
-- Row-level security is forced, and the owner is no superuser.
alter table data_keys no force row level security;
update data_keys set active_at = created_at, finished_at = created_at;
alter table data_keys force row level security;
grant update (finished_at, wrapped), delete on data_keys to app;

-- What a rotation encrypts anew, where functions only inserted so far.
grant update (content_enc) on drafts to app;
grant update (address_enc) on suppressions to app;
grant update (target_enc, secret_enc) on notification_channels to app;

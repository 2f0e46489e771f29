-- Lists of the emails of one contact.
set local search_path to email_sender;

create index emails_contact on emails (tenant_id, contact_id, id desc);

-- Every function reads the temporary log level together with the stopped managers.
set local search_path to email_sender;

grant select (config) on managers to app, gateway;

"""PostgreSQL: explicit SQL. Queries of a tenant run in a transaction that row-level security limits to that tenant."""

"""PostgreSQL: explicit SQL, every query of a tenant inside a transaction that row-level security seals."""

"""PostgreSQL: the authority for events, customers, enrollments and the ledger."""

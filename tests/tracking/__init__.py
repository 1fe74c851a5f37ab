"""The ledger and its stores, against a real MLflow server on SQLite and on PostgreSQL."""

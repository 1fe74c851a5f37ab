"""The ledger: what MLflow holds of a sweep, and the two ways to reach it."""

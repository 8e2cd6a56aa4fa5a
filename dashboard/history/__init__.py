"""The database of alerts and verdicts, and the queries on it."""

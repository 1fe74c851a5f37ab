"""The same loop on a laptop: subprocesses for Jobs, MLflow on SQLite."""

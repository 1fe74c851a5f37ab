"""Documents and their verdicts, each asked of every reader that there is."""

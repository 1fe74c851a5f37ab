"""Auto against its peers: what search is worth at the budgets that people have. `python -m bench search --help`."""

"""What a sweep teaches: importance, effects, interactions, failures, coverage, and five plain sentences. Pure."""

"""The operator and its parts on a real control plane."""

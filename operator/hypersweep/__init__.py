"""HyperSweep: hyperparameter sweeps on Kubernetes, or on a laptop, with one engine."""

__version__ = "0.1.0"

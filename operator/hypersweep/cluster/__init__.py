"""Kubernetes: the client, the informer, the Job's manifest, the Lease."""

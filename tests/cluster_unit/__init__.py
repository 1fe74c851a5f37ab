"""The Kubernetes plumbing against an API server that misbehaves on command."""

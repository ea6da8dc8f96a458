"""A real Kubernetes from nothing, for the end-to-end tests and for people: see docs/cluster.md."""

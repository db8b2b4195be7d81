"""The Kubernetes API, for the operator and the client alike: configuration, requests, errors, list and watch."""

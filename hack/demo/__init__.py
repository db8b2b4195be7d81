"""`make demo`: a Workflow going through every transition on a real cluster, each checked against the cluster."""

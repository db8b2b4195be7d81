"""MageFlow: tasks on Kubernetes that can be suspended, interrupted and resumed by one field."""

__version__ = "0.1.0"

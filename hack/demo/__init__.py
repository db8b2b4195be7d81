"""`make demo`: all three kinds going through every transition on a real cluster, each checked against it."""

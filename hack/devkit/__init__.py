"""What the demo and e2e share: kubectl, the operator as a process, waits that tell what they saw."""

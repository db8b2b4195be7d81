"""What the demo and the tests share: kubectl, the operator as a process, waits that tell what they saw."""

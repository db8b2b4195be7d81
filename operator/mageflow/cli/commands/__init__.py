"""One file for each command: it reads its options, asks the client, and prints."""

"""What the user is told when a cluster cannot be had."""

from __future__ import annotations


class ClusterError(Exception):
    """Something is missing or failed; the message says what, the remedy what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n{self.remedy}" if self.remedy else message

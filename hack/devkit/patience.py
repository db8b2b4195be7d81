"""The one deadline of all waits for something that is certain to come."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 300.0
"""Seconds. It guards against hanging, and nothing takes nearly as long; a busy machine may be ten times slower."""

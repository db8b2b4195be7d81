"""Hypothesis, the same on each run; `pytest tests/core --hypothesis-profile=explore` looks further."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("core", max_examples=150, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.get_current_profile_name() in ("default", "ci"):
    settings.load_profile("core")

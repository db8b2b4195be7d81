"""Figures of many measurements: medians, 95th percentiles, ratios, lines. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of one thing, in `unit`."""

    median: float
    p95: float
    count: int
    unit: str

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> Figure:
        """Sum up values; raises ValueError without any."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(statistics.median(values), percentile(values, 95), len(values), unit)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that so many per cent of all don't exceed (the nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Line:
    """cost = fixed + each * size; and how far the measurements are from it at most, as a share of its value."""

    fixed: float
    each: float
    largest_deviation: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """Fit a line to (size, cost), each point weighing by its share: 10 % off counts the same at every size.

        Raises ValueError for fewer than two sizes.
        """
        if len({size for size, _ in points}) < 2:
            raise ValueError("a line takes two sizes")
        weights = [1 / cost**2 for _, cost in points]
        total = sum(weights)
        mean_size = sum(w * size for w, (size, _) in zip(weights, points, strict=True)) / total
        mean_cost = sum(w * cost for w, (_, cost) in zip(weights, points, strict=True)) / total
        above = sum(
            w * (size - mean_size) * (cost - mean_cost) for w, (size, cost) in zip(weights, points, strict=True)
        )
        below = sum(w * (size - mean_size) ** 2 for w, (size, _) in zip(weights, points, strict=True))
        each = above / below
        fixed = mean_cost - each * mean_size
        return cls(fixed, each, max(abs(cost / (fixed + each * size) - 1) for size, cost in points))


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return the exponent by which cost grows from the smallest size to the largest: 1 is a line, 2 a square."""
    (small, cheap), (large, dear) = min(points), max(points)
    return math.log(dear / cheap) / math.log(large / small)

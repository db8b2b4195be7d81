"""The program `mageflow-operator`: loads the command, and runs it."""

from __future__ import annotations

from mageflow.controller.memory import set_aside
from mageflow.kube.lazy_modules import defer_unused


def main() -> None:
    """Run the command."""
    defer_unused()
    with set_aside():
        from mageflow.controller.command import run
    run()


if __name__ == "__main__":
    main()

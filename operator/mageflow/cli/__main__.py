"""The programs `kubectl-mageflow` and `kubectl_complete-mageflow`: they load the commands, and run one."""

from __future__ import annotations

from mageflow.kube.light_imports import import_lightly
from mageflow.kube.memory import set_aside


def main() -> None:
    """Run the program `kubectl-mageflow`."""
    import_lightly()
    with set_aside():
        from mageflow.cli.app import run
    run()


def complete() -> None:
    """Run the program `kubectl_complete-mageflow`, by which kubectl completes words."""
    import_lightly()
    with set_aside():
        from mageflow.cli.app import complete as run
    run()


if __name__ == "__main__":
    main()

"""The programs `kubectl-mageflow` and `kubectl_complete-mageflow`: they load the commands, and run one."""

from __future__ import annotations

import gc

from mageflow.kube.light_imports import import_lightly


def main() -> None:
    """Run the program `kubectl-mageflow`."""
    _prepare()
    from mageflow.cli.app import run

    _begin()
    run()


def complete() -> None:
    """Run the program `kubectl_complete-mageflow`, by which kubectl completes words."""
    _prepare()
    from mageflow.cli.app import complete as run

    _begin()
    run()


def _prepare() -> None:
    """Prepare to load modules: nothing is collected meanwhile, as none of that is garbage."""
    gc.disable()
    import_lightly()


def _begin() -> None:
    """Collect garbage from now on, but look at nothing that was loaded, not even at the end."""
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    main()

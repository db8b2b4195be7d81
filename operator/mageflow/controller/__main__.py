"""The program `mageflow-operator`: loads the command, and runs it."""

from __future__ import annotations

from mageflow.kube.light_imports import SYNCHRONOUS_MODELS, import_lightly
from mageflow.kube.memory import set_aside


def main() -> None:
    """Run the command."""
    import_lightly(SYNCHRONOUS_MODELS)
    with set_aside():
        from mageflow.controller.command import run
    run()


if __name__ == "__main__":
    main()

"""The program `mageflow-operator`: loads the command, and runs it."""

from __future__ import annotations

import gc

from mageflow.kube.lazy_modules import defer_unused


def main() -> None:
    """Run the command; nothing is collected while modules are loaded, as none of that is garbage."""
    gc.disable()
    defer_unused()
    from mageflow.controller.command import run
    from mageflow.controller.memory import set_aside

    gc.enable()
    set_aside()
    run()


if __name__ == "__main__":
    main()

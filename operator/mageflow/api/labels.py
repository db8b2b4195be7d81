"""Labels and annotations: by them a resource finds its Jobs and pods, and a namespace is held as a whole."""

from __future__ import annotations

from typing import Final

LABEL_KIND: Final = "mageflow.io/kind"
LABEL_NAME: Final = "mageflow.io/name"
LABEL_UID: Final = "mageflow.io/uid"
LABEL_TASK: Final = "mageflow.io/task"
LABEL_RUN: Final = "mageflow.io/run"

LABEL_LIFECYCLE: Final = "mageflow.io/lifecycle"
"""Of a Namespace: what holds for all that is in it, `suspended` or `interrupted`."""

MAIN_TASK: Final = "main"
"""The task label of a Workflow's own task, and its name in the status."""

DEFAULT_CONTAINER_ANNOTATION: Final = "kubectl.kubernetes.io/default-container"
"""Names the container of a pod that counts, if it isn't the first."""

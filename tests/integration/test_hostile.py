"""One user's odd object is nobody else's trouble."""

from __future__ import annotations

import json
from pathlib import Path

from .stage import Namespace


async def test_others_go_on_when_an_input_is_nested_thousands_of_levels_deep(
    namespace: Namespace, tmp_path: Path
) -> None:
    """JSON of more levels than Python's own limit ended the watch, and so the operator, for everyone."""
    deep = "[" * 5000 + "]" * 5000
    manifest = {
        "apiVersion": "mageflow.io/v1",
        "kind": "Workflow",
        "metadata": {"name": "deep"},
        "spec": {"input": "DEEP", "template": {"spec": {"containers": [{"name": "main", "image": "busybox:1.36"}]}}},
    }
    path = tmp_path / "deep.json"
    path.write_text(json.dumps(manifest).replace('"DEEP"', deep))
    await namespace.kubectl("create", "--validate=false", f"--filename={path}")

    other, pod = await namespace.create_running("other")
    await namespace.kubelet.succeed(pod)

    await other.wait_for("Succeeded")

"""The CRDs as templates of the chart: Helm never upgrades what is in a chart's `crds/`."""

from __future__ import annotations

from typing import Any

from generate.yamltext import dump

_HEAD = """\
{{- if .Values.crds.install }}
apiVersion: %(apiVersion)s
kind: %(kind)s
metadata:
  name: %(name)s
  labels:
    {{- include "mageflow.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""

_TAIL = "{{- end }}\n"


def build_template(crd: dict[str, Any]) -> str:
    """Return the template that a CRD's manifest is rendered from."""
    head = _HEAD % {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "name": crd["metadata"]["name"]}
    return f"{head}{_escape(dump({'spec': crd['spec']}))}{_TAIL}"


def _escape(text: str) -> str:
    """Keep Helm from taking anything in a text as its own."""
    return text.replace("{{", '{{ "{{" }}')

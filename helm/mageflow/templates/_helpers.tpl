{{/* The chart's name, as the labels have it. */}}
{{- define "mageflow.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything that there is one of. */}}
{{- define "mageflow.fullname" -}}
{{- $name := include "mageflow.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "mageflow.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mageflow.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mageflow.labels" -}}
{{ include "mageflow.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mageflow
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "mageflow.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "mageflow.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "mageflow.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What the operator may do where it works: only what it does. docs/security.md says what for. */}}
{{- define "mageflow.rules" -}}
- apiGroups: [mageflow.io]
  resources: [workflows, chains, swarms]
  verbs: [get, list, watch]
- apiGroups: [mageflow.io]
  resources: [workflows/status, chains/status, swarms/status]
  verbs: [update]
- apiGroups: [mageflow.io]
  resources: [workflows/finalizers, chains/finalizers, swarms/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}

{{/* The subject of the operator's role bindings. */}}
{{- define "mageflow.subjects" -}}
- kind: ServiceAccount
  name: {{ include "mageflow.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The label `job` of the operator in Prometheus: by default the one that the Prometheus operator gives it. */}}
{{- define "mageflow.job" -}}
{{- .Values.prometheusRule.job | default (printf "%s/%s" .Release.Namespace (include "mageflow.fullname" .)) -}}
{{- end -}}

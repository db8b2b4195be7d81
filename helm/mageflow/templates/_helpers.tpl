{{/* The chart's name, as the labels have it. */}}
{{- define "mageflow.name" -}}
{{- regexReplaceAll "[-.]+$" (.Values.nameOverride | default .Chart.Name | trunc 63) "" -}}
{{- end -}}

{{/* The name of everything that there is one of. */}}
{{- define "mageflow.fullname" -}}
{{- $name := include "mageflow.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- regexReplaceAll "[-.]+$" (.Values.fullnameOverride | default $full | trunc 50) "" -}}
{{- end -}}

{{- define "mageflow.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mageflow.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "mageflow.labels" -}}
{{ include "mageflow.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mageflow
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* The labels with the user's: these win, but for those by which the operator's pods are found. */}}
{{- define "mageflow.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $labels := include "mageflow.labels" $root | fromYaml -}}
{{- toYaml (mergeOverwrite $labels (index . 1 | default dict) (include "mageflow.selectorLabels" $root | fromYaml)) -}}
{{- end -}}

{{- define "mageflow.serviceAccountName" -}}
{{- if and .Values.rbac.create (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create=false needs serviceAccount.name: the account that is to have the operator's rights (or rbac.create=false)" -}}
{{- end -}}
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
  name: {{ include "mageflow.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{/* The label `job` of the operator in Prometheus: by default the one that the Prometheus operator gives it. */}}
{{- define "mageflow.job" -}}
{{- .Values.prometheusRule.job | default (printf "%s/%s" .Release.Namespace (include "mageflow.fullname" .)) -}}
{{- end -}}

{{- define "elephas.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "elephas.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else if hasPrefix .Release.Name $name }}
{{- $name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Cluster-wide objects carry the namespace, so that two releases of one name do not meet. */}}
{{- define "elephas.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "elephas.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "elephas.selectorLabels" -}}
app.kubernetes.io/name: elephas-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "elephas.labels" -}}
{{ include "elephas.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: elephas
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "elephas.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "elephas.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* (list . image): registry/repository:tag */}}
{{- define "elephas.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}
{{- with $root.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- /* What the operator does in a namespace with jobs. */}}
{{- define "elephas.jobRules" -}}
- apiGroups: [elephas.dev]
  resources: [elephasjobs]
  verbs: [get, list, watch, delete]   # delete: ttlSecondsAfterFinished
- apiGroups: [elephas.dev]
  resources: [elephasjobs/status]
  verbs: [get, patch]
- apiGroups: [elephas.dev]
  resources: [elephasjobs/finalizers]
  verbs: [update]   # owner references that block deletion, where that is enforced
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete, patch]   # patch: activeDeadlineSeconds, to end a sidecar
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create, patch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch, update]
{{- end }}

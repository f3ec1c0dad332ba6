{{- define "kora.name" -}}
{{- if contains "kora" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-kora" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kora.selector" -}}
app.kubernetes.io/name: kora
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kora.labels" -}}
{{ include "kora.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "kora.secret" -}}
{{- if .Values.existingSecret -}}
{{- .Values.existingSecret -}}
{{- else if .Values.password -}}
{{- include "kora.name" . -}}
{{- else if not .Values.allowNoPassword -}}
{{- fail "set existingSecret or password, or allowNoPassword: true" -}}
{{- end -}}
{{- end -}}

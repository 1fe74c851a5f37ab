{{- define "hypersweep.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* The stem of all names: the release's name, with the chart's unless that is in it. 50: room for suffixes. */}}
{{- define "hypersweep.fullname" -}}
{{- $name := include "hypersweep.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- /* Names of cluster-wide objects hold the namespace, so that two releases don't fight over them. */}}
{{- define "hypersweep.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "hypersweep.fullname" .) }}
{{- end }}

{{- define "hypersweep.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "hypersweep.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- define "hypersweep.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hypersweep
{{- end }}

{{- /* Labels that select a component's pods. Takes (list CONTEXT COMPONENT). */}}
{{- define "hypersweep.selector" -}}
{{- $context := index . 0 -}}
app.kubernetes.io/name: {{ include "hypersweep.name" $context }}
app.kubernetes.io/instance: {{ $context.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* All labels of a component's objects. Takes (list CONTEXT COMPONENT). */}}
{{- define "hypersweep.labels" -}}
{{ include "hypersweep.selector" . }}
{{ include "hypersweep.commonLabels" (index . 0) }}
{{- end }}

{{- /* An image's reference. Takes (list CONTEXT IMAGE). */}}
{{- define "hypersweep.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The watched namespaces as a JSON list: what Roles and the operator's configuration are made from. */}}
{{- define "hypersweep.namespaces" -}}
{{ default (list .Release.Namespace) .Values.namespaces | uniq | toJson }}
{{- end }}

{{- define "hypersweep.mlflowName" -}}
{{ include "hypersweep.fullname" . }}-mlflow
{{- end }}

{{- /* All tracking servers as a JSON list, in the terms of the operator's configuration. */}}
{{- define "hypersweep.trackingServers" -}}
{{- $servers := list -}}
{{- if .Values.mlflow.enabled -}}
  {{- $uri := printf "http://%s.%s.svc:%v" (include "hypersweep.mlflowName" .) .Release.Namespace .Values.mlflow.service.port -}}
  {{- $own := dict "name" "default" "uri" $uri "namespaces" (list "*") -}}
  {{- with .Values.mlflow.uiUrl }}{{ $_ := set $own "uiUrl" . }}{{ end -}}
  {{- with .Values.mlflow.readableExperiments }}{{ $_ := set $own "readableExperiments" . }}{{ end -}}
  {{- with .Values.mlflow.registrableModels }}{{ $_ := set $own "registrableModels" . }}{{ end -}}
  {{- $servers = append $servers $own -}}
{{- end -}}
{{- range .Values.trackingServers -}}
  {{- $server := omit . "credentialsSecret" -}}
  {{- if not .namespaces }}{{ $_ := set $server "namespaces" (list "*") }}{{ end -}}
  {{- if .credentialsSecret }}{{ $_ := set $server "credentials" (printf "/etc/hypersweep/tracking/%s" .name) }}{{ end -}}
  {{- $servers = append $servers $server -}}
{{- end -}}
{{- $names := list -}}
{{- range $servers -}}
  {{- if has .name $names -}}
    {{- fail (printf "trackingServers: two servers are named %q; mlflow.enabled brings one named \"default\"" .name) -}}
  {{- end -}}
  {{- $names = append $names .name -}}
{{- end -}}
{{- if not $servers -}}
  {{- fail "trackingServers: sweeps keep their results in MLflow: list a server ({name: default, uri: http://…}), or set mlflow.enabled=true" -}}
{{- end -}}
{{ $servers | toJson }}
{{- end }}

{{- /* Where pods run and from what images: the same for operator and MLflow. */}}
{{- define "hypersweep.placement" -}}
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "hypersweep.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

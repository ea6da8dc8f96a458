{{/* Endpoints of a file of monitoring/, each with the interval and timeout of the values. */}}
{{- define "elephas.monitoring.endpoints" -}}
{{- range (.file | fromYamlArray) }}
{{- $endpoint := merge (dict) . }}
{{- if $.values.interval }}{{- $_ := set $endpoint "interval" $.values.interval }}{{- end }}
{{- if $.values.scrapeTimeout }}{{- $_ := set $endpoint "scrapeTimeout" $.values.scrapeTimeout }}{{- end }}
- {{ $endpoint | toYaml | nindent 2 | trim }}
{{- end }}
{{- end }}

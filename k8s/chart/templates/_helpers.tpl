{{/* Name of all objects: one that tells releases apart, and says "belvedere" once. */}}
{{- define "belvedere.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What is selected by: never changes, because a Deployment's selector cannot. */}}
{{- define "belvedere.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of the objects of a component: dict "root" $ "component" "service". */}}
{{- define "belvedere.labels" -}}
{{ include "belvedere.selector" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: belvedere
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "belvedere.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "belvedere.serviceAccount" -}}
{{- .Values.serviceAccount.existing | default (include "belvedere.fullname" .) -}}
{{- end -}}

{{/* The fewest replicas that there are on purpose. */}}
{{- define "belvedere.replicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* Drain, seven seconds for database and telemetry (docs/operating.md), and a margin. */}}
{{- define "belvedere.gracePeriod" -}}
{{- $s := .Values.shutdown -}}
{{- add $s.drainDelaySeconds $s.drainTimeoutSeconds 7 $s.marginSeconds -}}
{{- end -}}

{{/* A section of TOML. JSON's strings, numbers, booleans and flat lists are TOML's too. */}}
{{- define "belvedere.section" -}}
{{- if .keys }}
[{{ .name }}]
{{- range $key, $value := .keys }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end -}}

{{/* Which key of the Secret becomes which file, for the service: YAML. */}}
{{- define "belvedere.secretFiles" -}}
{{- $keys := .Values.secrets.keys -}}
{{- $auth := .Values.settings.auth | default dict -}}
{{- if $keys.databaseUrl }}
database_url: {{ $keys.databaseUrl }}
{{- else }}
database_password: {{ required "secrets.keys: databasePassword or databaseUrl is needed" $keys.databasePassword }}
{{- end }}
{{- with $keys.databaseReadUrl }}
database_read_url: {{ . }}
{{- end }}
{{- if ne ($auth.mode | default "local") "oidc" }}
signing_key: {{ required "secrets.keys.signingKey is needed while settings.auth.mode is local" $keys.signingKey }}
{{- with $keys.previousKeys }}
previous_keys: {{ . }}
{{- end }}
{{- end }}
{{- with $keys.opsToken }}
ops_token: {{ . }}
{{- end }}
{{- with $keys.pepper }}
pepper: {{ . }}
{{- end }}
{{- with $keys.redisUrl }}
redis_url: {{ . }}
{{- end }}
{{- end -}}

{{/* The same for migrations, which get the database's secret alone. */}}
{{- define "belvedere.migrationFiles" -}}
{{- $keys := .Values.secrets.keys -}}
{{- if $keys.databaseUrl }}
database_url: {{ .Values.migrations.secretKey | default $keys.databaseUrl }}
{{- else }}
database_password: {{ .Values.migrations.secretKey | default $keys.databasePassword }}
{{- end }}
{{- end -}}

{{/* Section [database]: dict "root" $ "files" of the two above "settings". A URL takes the place of the parts. */}}
{{- define "belvedere.database" -}}
{{- $keys := deepCopy .settings -}}
{{- if hasKey .files "database_url" -}}
{{- $keys = omit $keys "scheme" "host" "port" "name" "user" "tls" "tls_ca_file" -}}
{{- end -}}
{{- range $file, $_ := .files -}}
{{- if hasPrefix "database_" $file -}}
{{- $_ := set $keys (printf "%s_file" (trimPrefix "database_" $file)) (printf "/run/secrets/belvedere/%s" $file) -}}
{{- end -}}
{{- end -}}
{{- include "belvedere.section" (dict "name" "database" "keys" (set $keys "migrate_on_start" false)) -}}
{{- end -}}

{{- define "belvedere.toml" -}}
{{- $files := include "belvedere.secretFiles" . | fromYaml -}}
{{- $settings := deepCopy .Values.settings -}}
{{- range $section := list "server" "ops" "auth" "password" "rate_limit" "database" -}}
{{- if not (index $settings $section) -}}{{- $_ := set $settings $section dict -}}{{- end -}}
{{- end -}}
{{- $_ := set $settings.server "addr" "0.0.0.0:8080" -}}
{{- $_ := set $settings.server "drain_delay" (printf "%ds" (int .Values.shutdown.drainDelaySeconds)) -}}
{{- $_ := set $settings.server "drain_timeout" (printf "%ds" (int .Values.shutdown.drainTimeoutSeconds)) -}}
{{- $_ := set $settings.ops "addr" "0.0.0.0:9090" -}}
{{- $places := dict "ops_token" (list "ops" "token_file") "signing_key" (list "auth" "signing_key_file") "previous_keys" (list "auth" "previous_keys_file") "pepper" (list "password" "pepper_file") "redis_url" (list "rate_limit" "redis_url_file") -}}
{{- range $file, $place := $places -}}
{{- if hasKey $files $file -}}
{{- $_ := set (index $settings (index $place 0)) (index $place 1) (printf "/run/secrets/belvedere/%s" $file) -}}
{{- end -}}
{{- end -}}
# Made by the chart; all settings are in config/belvedere.toml of the repository.
environment = "production"
{{ range $section := keys $settings | sortAlpha -}}
{{- if eq $section "database" -}}
{{- include "belvedere.database" (dict "settings" $settings.database "files" $files) -}}
{{- else -}}
{{- include "belvedere.section" (dict "name" $section "keys" (index $settings $section)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "belvedere.migrateToml" -}}
{{- $files := include "belvedere.migrationFiles" . | fromYaml -}}
{{- $database := deepCopy .Values.settings.database -}}
{{- with .Values.migrations.databaseUser -}}{{- $_ := set $database "user" . -}}{{- end -}}
# Made by the chart, for `belvedere migrate`, which needs the database and no other secret.
environment = "production"
{{ include "belvedere.database" (dict "settings" $database "files" $files) -}}
{{- include "belvedere.section" (dict "name" "log" "keys" .Values.settings.log) -}}
{{- end -}}

{{- define "belvedere.podSecurityContext" -}}
runAsNonRoot: true
{{- range $key := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- with index $.Values.podSecurityContext $key }}
{{ $key }}: {{ int64 . }}
{{- end }}
{{- end }}
{{- if .Values.podSecurityContext.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "belvedere.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What every pod of ours has, above its containers: dict "root" $ "account" name. */}}
{{- define "belvedere.podDefaults" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
# Variables such as APP_…_SERVICE_HOST of other people's Services would be unknown settings.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "belvedere.podSecurityContext" .root | nindent 2 }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The container that migrates; in a Job or before the service. */}}
{{- define "belvedere.migrateContainer" -}}
name: migrate
image: {{ include "belvedere.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [migrate, up, --config, /etc/belvedere/migrate.toml]
securityContext:
  {{- include "belvedere.containerSecurityContext" . | nindent 2 }}
resources:
  {{- toYaml .Values.migrations.resources | nindent 2 }}
volumeMounts:
  - name: migrate-config
    mountPath: /etc/belvedere
    readOnly: true
  - name: migrate-secrets
    mountPath: /run/secrets/belvedere
    readOnly: true
  {{- if .Values.authorities.configMap }}
  - name: authorities
    mountPath: /etc/belvedere-ca
    readOnly: true
  {{- end }}
{{- end -}}

{{/* Its volumes: dict "root" $ "config" name of the ConfigMap. */}}
{{- define "belvedere.migrateVolumes" -}}
- name: migrate-config
  configMap:
    name: {{ .config }}
    items:
      - key: migrate.toml
        path: migrate.toml
- name: migrate-secrets
  {{- include "belvedere.secretVolume" (dict "root" .root "files" (include "belvedere.migrationFiles" .root | fromYaml)) | nindent 2 }}
{{- end -}}

{{- define "belvedere.secretVolume" -}}
secret:
  secretName: {{ .root.Values.secrets.existingSecret }}
  # Root's, and readable to fsGroup.
  defaultMode: 0440
  items:
    {{- range $file, $key := .files }}
    - key: {{ $key }}
      path: {{ $file }}
    {{- end }}
{{- end -}}

{{- define "belvedere.authoritiesVolume" -}}
{{- with .Values.authorities.configMap -}}
- name: authorities
  configMap:
    name: {{ . }}
{{- end -}}
{{- end -}}

{{/* A rule of a NetworkPolicy. dict "direction" "from" or "to", "peers", "ports"; no peers are everybody. */}}
{{- define "belvedere.rule" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: {{ $.protocol | default "TCP" }}
    {{- end }}
  {{- with .peers }}
  {{ $.direction }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "belvedere.dnsRule" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Mebibytes of a quantity in Mi or Gi, which the schema insists on. */}}
{{- define "belvedere.mebibytes" -}}
{{- if hasSuffix "Gi" . -}}{{- mul (trimSuffix "Gi" . | int) 1024 -}}{{- else -}}{{- trimSuffix "Mi" . | int -}}{{- end -}}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "belvedere.validate" -}}
{{- $values := .Values -}}
{{- $password := $values.settings.password | default dict -}}
{{- $hashing := mul ($password.max_concurrent | default 2 | int) ($password.memory_kib | default 19456 | int) -}}
{{- $limit := include "belvedere.mebibytes" $values.resources.limits.memory | int -}}
{{- if gt (mul 2 $hashing) (mul $limit 1024) -}}
{{- fail (printf "resources.limits.memory: hashing may take %d KiB (settings.password.max_concurrent x memory_kib), and twice that is needed" $hashing) -}}
{{- end -}}
{{- if ne $values.resources.limits.memory $values.resources.requests.memory -}}
{{- fail "resources: the memory limit must equal the request" -}}
{{- end -}}
{{- $exposed := or $values.ingress.enabled $values.httpRoute.enabled $values.route.enabled -}}
{{- $server := $values.settings.server | default dict -}}
{{- if and $exposed (not $server.trusted_proxies) -}}
{{- fail "settings.server.trusted_proxies: name the networks of the ingress controller; without them all its clients share one budget" -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling: minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if and $values.externalSecret.enabled (eq $values.migrations.mode "job") -}}
{{- fail "migrations.mode: with externalSecret.enabled it must be initContainer or none, because hooks run before the ExternalSecret exists" -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (not $values.resources.requests.cpu) -}}
{{- fail "resources.requests.cpu: the autoscaler needs it" -}}
{{- end -}}
{{- end -}}

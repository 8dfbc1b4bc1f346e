#!/usr/bin/env python3
"""Writes the Grafana dashboard; what it shows is decided here, and k8s/chart/files/dashboard.json is what comes of it.

Usage: scripts/delivery/alerts_dashboard.py >k8s/chart/files/dashboard.json

scripts/check-alerts fails when the file is not what this prints.
"""

import json

RUNBOOKS = "https://github.com/belvedere-rs/belvedere/blob/main/docs/runbooks"
METRICS = "https://github.com/belvedere-rs/belvedere/blob/main/docs/telemetry.md"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
# Of what the variables choose. Recorded rules know no instance.
CHOSEN = 'job="$job", namespace=~"$namespace", instance=~"$instance"'
RECORDED = 'job="$job", namespace=~"$namespace"'
REQUESTS = "http_server_request_duration_seconds"
STATEMENTS = "db_client_operation_duration_seconds"
HASHES = "password_hash_duration_seconds"
# Kinds of errors that are the service's own, as in rules.yaml.
FAULT = 'error_type!~"client_disconnected|"'
LIMITED = 'decision="limited"'
GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"


def rate(metric, *labels):
    return f"rate({metric}{{{', '.join((CHOSEN, *labels))}}}[$__rate_interval])"


def gauge(metric, *labels):
    return f"{metric}{{{', '.join((CHOSEN, *labels))}}}"


def recorded(metric):
    return f"{metric}{{{RECORDED}}}"


def total(of, by=""):
    return f"sum by ({by}) ({of})" if by else f"sum({of})"


def quantile(q, metric, *labels, by=""):
    names = ", ".join(filter(None, (by, "le")))
    return f"histogram_quantile({q}, {total(rate(metric + '_bucket', *labels), names)})"


def mean(metric):
    return f"{total(rate(metric + '_sum'))} / {total(rate(metric + '_count'))}"


def query(expr, legend="", **more):
    """A target; `refId` is given by its place in the panel."""
    return {"datasource": DATASOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True, **more}


def now(expr, legend="", **more):
    return query(expr, legend, instant=True, **more) | {"range": False}


def thresholds(*steps):
    """Colours from which value on; the first has none."""
    first, *rest = steps
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *({"color": c, "value": v} for v, c in rest)]}


def panel(kind, title, description, targets, unit="short", width=8, height=8, levels=None, runbooks=(), **more):
    targets = [{**target, "refId": chr(ord("A") + place)} for place, target in enumerate(targets)]
    defaults = {"unit": unit, "thresholds": levels or thresholds(GREEN), "min": 0, **more.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": targets,
        "fieldConfig": {"defaults": {key: value for key, value in defaults.items() if value is not None}, "overrides": more.pop("overrides", [])},
        "links": [{"title": f"Runbook: {name}", "url": f"{RUNBOOKS}/{name}.md", "targetBlank": True} for name in runbooks],
        **more,
    }


def graph(title, description, targets, unit="short", fill=10, stack=False, points=False, lines_at=False, calcs=("mean", "max"), **more):
    custom = {
        "drawStyle": "points" if points else "line",
        "fillOpacity": fill,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if lines_at else "off"},
    }
    defaults = {"custom": custom, "color": {"mode": "palette-classic"}, **more.pop("defaults", {})}
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": list(calcs)},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, targets, unit, defaults=defaults, options=options, **more)


def stat(title, description, expr, unit="short", width=4, height=4, sparkline=True, text="auto", **more):
    options = {
        "colorMode": "value",
        "graphMode": "area" if sparkline else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": text,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    targets = [expr] if isinstance(expr, dict) else [query(expr)]
    return panel("stat", title, description, targets, unit, width, height, options=options, **more)


def heatmap(title, description, expr, **more):
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "scale": "exponential"},
        "exemplars": {"color": "rgba(31, 96, 196, 0.9)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "unit": "s", "reverse": False},
    }
    target = query(expr, "{{le}}", format="heatmap", exemplar=True)
    return panel("heatmap", title, description, [target], options=options, defaults={"min": None}, **more)


def table(title, description, targets, names, hidden, **more):
    transformations = [
        {"id": "joinByField", "options": {"byField": "instance", "mode": "outer"}},
        {"id": "organize", "options": {"excludeByName": {name: True for name in hidden}, "indexByName": {}, "renameByName": names}},
    ]
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}}
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}}, "min": None}
    return panel("table", title, description, targets, transformations=transformations, options=options, defaults=defaults, **more)


def of_column(name, **properties):
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": key, "value": value} for key, value in properties.items()]}


SLO_LINES = thresholds(GREEN, (1, YELLOW), (6, ORANGE), (14.4, RED))
SHARE = thresholds(GREEN, (0.001, YELLOW), (0.0144, RED))
FULLNESS = thresholds(GREEN, (0.75, YELLOW), (0.9, RED))
NOUGHT_IS_GOOD = thresholds(GREEN, (1, RED))
ONE_IS_GOOD = thresholds(RED, (1, GREEN))
YES_NO = [{"type": "value", "options": {"0": {"text": "no", "index": 0}, "1": {"text": "yes", "index": 1}}}]
WINDOWS = ("5m", "1h", "6h", "3d")
FAILED = f"{REQUESTS}_count{{{CHOSEN}, {FAULT}}}"
JUDGED = f'{REQUESTS}_count{{{CHOSEN}, error_type!="client_disconnected"}}'
ANSWERED = f'{CHOSEN}, http_response_status_code!~"5..", error_type!="drain_timeout"'


def or_nought(expr, beside):
    """Where nothing has failed yet there is no series of failures."""
    return f"({expr} or 0 * {beside})"


ROWS = [
    ("At a glance", [
        stat("Replicas ready", "Replicas on which every check passes. Load balancers send requests to these alone.",
             f"sum(min by (namespace, job, instance) ({gauge('readiness')}))",
             levels=thresholds(RED, (1, YELLOW), (2, GREEN)), runbooks=("BelvedereNoReplicaReady", "BelvedereReplicaNotReady")),
        stat("Requests", "Requests per second, those that clients left included. The operator's endpoints are in none of these numbers.",
             total(rate(REQUESTS + "_count")), "reqps"),
        stat("Failed", "Share of requests that failed by a fault of the service: answers of 5xx, and requests that the shutdown cut off.",
             f"{or_nought(total(rate(REQUESTS + '_count', FAULT)), total(rate(REQUESTS + '_count')))} / {total(rate(REQUESTS + '_count'))}",
             "percentunit", levels=SHARE, runbooks=("BelvedereErrorBudgetBurn",)),
        stat("99th percentile", "99 of 100 requests took no longer.", quantile(0.99, REQUESTS), "s",
             levels=thresholds(GREEN, (0.25, YELLOW), (1, RED)), runbooks=("BelvedereLatencyBudgetBurn",)),
        stat("Error budget left", "Of the failures that 99.9 % allows for the requests of the chosen time, the share that is left. Choose 30 days for the budget of the objective.",
             now(f"1 - {or_nought(f'sum(increase({FAILED}[$__range]))', f'sum(increase({JUDGED}[$__range]))')} / sum(increase({JUDGED}[$__range])) / 0.001"),
             "percentunit", sparkline=False, levels=thresholds(RED, (0, ORANGE), (0.25, YELLOW), (0.5, GREEN)), defaults={"min": None},
             runbooks=("BelvedereErrorBudgetBurn",)),
        stat("Alerts that fire", "Of this job, in this Prometheus. Each has a runbook.",
             now('count(ALERTS{job="$job", namespace=~"$namespace", alertstate="firing"}) or vector(0)'),
             sparkline=False, levels=NOUGHT_IS_GOOD, runbooks=("README",)),
        table("Replicas", "Who runs what. The version and the time of the start are also marks in all graphs.", [
            now(gauge("build_info"), format="table"),
            now(f"time() - {gauge('process_start_time_seconds')}", format="table"),
            now(f"min by (instance) ({gauge('readiness')})", format="table"),
            now(gauge("startup_duration_seconds"), format="table"),
            now(gauge("process_resident_memory_bytes"), format="table"),
        ], {"Value #B": "running for", "Value #C": "ready", "Value #D": "start took", "Value #E": "memory", "rustc_version": "rustc"},
            ("Value #A", "Time", "Time 1", "Time 2", "Time 3", "Time 4", "Time 5", "__name__", "__name__ 1", "__name__ 2", "__name__ 3",
             "job", "job 1", "job 2", "job 3", "job 4", "namespace 2", "namespace 3", "namespace 4"),
            width=16, height=7, overrides=[
                of_column("running for", unit="s"), of_column("start took", unit="s"), of_column("memory", unit="bytes"),
                of_column("ready", mappings=YES_NO),
            ], runbooks=("BelvedereCrashLooping",)),
        graph("Checks", "1 while a check of /readyz passes on a replica, else 0.",
              [query(gauge("readiness"), "{{instance}} {{check}}")], height=7, fill=0, calcs=("lastNotNull",), levels=ONE_IS_GOOD, defaults={"max": 1},
              runbooks=("BelvedereDatabaseDown", "BelvedereNoReplicaReady", "BelvedereReplicaNotReady")),
    ]),
    ("Objectives", [
        graph("Availability: burn rate", "How many times faster than 99.9 % over 30 days allows the budget is used up. Two windows over a line at once are an alert: 14.4 pages, 6 pages, 3 and 1 are tickets.",
              [query(f"{recorded(f'namespace_job:http_server_request_errors:ratio_rate{window}')} / 0.001", f"{{{{namespace}}}} {window}") for window in WINDOWS],
              width=12, fill=0, lines_at=True, levels=SLO_LINES, runbooks=("BelvedereErrorBudgetBurn",)),
        graph("Latency: burn rate", "The same for answers that took longer than 0.25 s, of which 1 % are allowed.",
              [query(f"{recorded(f'namespace_job:http_server_request_slow:ratio_rate{window}')} / 0.01", f"{{{{namespace}}}} {window}") for window in WINDOWS],
              width=12, fill=0, lines_at=True, levels=SLO_LINES, runbooks=("BelvedereLatencyBudgetBurn",)),
    ]),
    ("Traffic", [
        graph("Requests by route", "Routes are templates of the OpenAPI document; made-up paths have none.",
              [query(total(rate(REQUESTS + "_count"), "http_request_method, http_route"), "{{http_request_method}} {{http_route}}")], "reqps", stack=True, width=12),
        graph("Requests by status", "Without a status: the client left, or the shutdown cut the request off.",
              [query(total(rate(REQUESTS + "_count"), "http_response_status_code"), "{{http_response_status_code}}")], "reqps", stack=True, width=12),
        graph("In flight", "Requests that are worked on. Beyond server.max_in_flight (1024) they are answered 503.",
              [query(total(gauge("http_server_active_requests"), "instance"), "{{instance}}")], width=6, runbooks=("BelvedereSheddingRequests",)),
        graph("Connections", "Connections of clients that the listener holds open. Beyond server.max_connections (10000) idle ones are closed for new ones.",
              [query(gauge("http_server_connections"), "{{instance}}")], width=6),
        graph("Shed", "Requests refused to protect the service: too many in flight, or longer than server.request_timeout.",
              [query(total(rate("http_server_shed_requests_total"), "reason"), "{{reason}}")], "reqps", width=6, runbooks=("BelvedereSheddingRequests",)),
        graph("Bytes", "What clients sent and got, bodies alone.",
              [query(total(rate("http_server_request_body_size_bytes_sum")), "received"), query(total(rate("http_server_response_body_size_bytes_sum")), "sent")], "Bps", width=6),
    ]),
    ("Errors", [
        graph("Errors by type", "At 5xx the kind of fault. `client_disconnected` is in no objective, and often a sign of slowness.",
              [query(total(rate(REQUESTS + "_count", 'error_type!=""'), "error_type"), "{{error_type}}")], "reqps", stack=True, runbooks=("BelvedereErrorBudgetBurn",)),
        graph("Failed requests by route", "Share of the requests of a route. A route without failures is not here.",
              [query(f"{total(rate(REQUESTS + '_count', FAULT), 'http_request_method, http_route')} / {total(rate(REQUESTS + '_count'), 'http_request_method, http_route')}",
                     "{{http_request_method}} {{http_route}}", exemplar=True)], "percentunit", fill=0, levels=SHARE, runbooks=("BelvedereErrorBudgetBurn",)),
        graph("Refused to callers", "Answers of 4xx: what callers do wrong, or may not do.",
              [query(total(rate(REQUESTS + "_count", 'http_response_status_code=~"4.."'), "http_response_status_code"), "{{http_response_status_code}}")], "reqps", stack=True),
    ]),
    ("Latency", [
        heatmap("Latency of all requests", "How many requests took how long. A dot is one request: its trace id leads to the trace.",
                f"sum by (le) (increase({REQUESTS}_bucket{{{CHOSEN}}}[$__rate_interval]))", width=12, height=10, runbooks=("BelvedereLatencyBudgetBurn",)),
        graph("Quantiles", "Dots are single requests, with their trace ids. The line is the objective, 0.25 s.",
              [query(quantile(q, REQUESTS), f"{q * 100:g} %", exemplar=True) for q in (0.5, 0.9, 0.99)],
              "s", width=12, height=10, fill=0, lines_at=True, levels=thresholds(GREEN, (0.25, RED)), runbooks=("BelvedereLatencyBudgetBurn",)),
        graph("99th percentile by route", "Logins and registrations hash a password, which takes tens of milliseconds by intention.",
              [query(quantile(0.99, REQUESTS, by="http_request_method, http_route"), "{{http_request_method}} {{http_route}}")], "s", fill=0),
        graph("Where the time goes", "Time per second of all requests together: in statements, in hashes, and in everything else with its waiting.",
              [query(total(rate(STATEMENTS + "_sum")), "database"), query(total(rate(HASHES + "_sum")), "hashing"),
               query(total(rate(REQUESTS + "_sum")), "requests, in all")], "s", fill=0),
        graph("Slower than the objective", "Share of the answers that took longer than 0.25 s.",
              [query(f'1 - sum(rate({REQUESTS}_bucket{{{ANSWERED}, le="0.25"}}[$__rate_interval])) / sum(rate({REQUESTS}_count{{{ANSWERED}}}[$__rate_interval]))', "slow", exemplar=True)],
              "percentunit", lines_at=True, levels=thresholds(GREEN, (0.01, YELLOW), (0.144, RED)), runbooks=("BelvedereLatencyBudgetBurn",)),
    ]),
    ("Database", [
        graph("Connections of the pools", "In use, idle, and how many there may be (database.max_connections).",
              [query(total(gauge("db_client_connection_count"), "db_client_connection_pool_name, db_client_connection_state"), "{{db_client_connection_pool_name}} {{db_client_connection_state}}"),
               query(total(gauge("db_client_connection_max"), "db_client_connection_pool_name"), "{{db_client_connection_pool_name}} most")],
              fill=0, runbooks=("BelvedereDatabasePoolExhausted",)),
        graph("Pool in use, by replica", "Share of the connections that are in use.",
              [query(gauge("instance:db_client_connection_used:ratio"), "{{instance}} {{db_client_connection_pool_name}}")],
              "percentunit", fill=0, levels=FULLNESS, lines_at=True, defaults={"max": 1}, runbooks=("BelvedereDatabasePoolExhausted",)),
        graph("Waiting for a connection", "99th percentile of the wait, and waits that were given up after database.acquire_timeout (2 s).",
              [query(quantile(0.99, "db_client_connection_wait_time_seconds", by="db_client_connection_pool_name"), "{{db_client_connection_pool_name}} 99 %"),
               query(total(rate("db_client_connection_timeouts_total"), "db_client_connection_pool_name"), "{{db_client_connection_pool_name}} given up per second")],
              "s", fill=0, overrides=[{"matcher": {"id": "byRegexp", "options": ".*given up.*"}, "properties": [{"id": "unit", "value": "cps"}, {"id": "custom.axisPlacement", "value": "right"}]}],
              runbooks=("BelvedereDatabasePoolTimeouts",)),
        graph("Statements", "Per second, by what they do to which table.",
              [query(total(rate(STATEMENTS + "_count"), "db_operation_name, db_collection_name"), "{{db_operation_name}} {{db_collection_name}}")], "ops", stack=True),
        graph("Statements: 99th percentile", "Waiting for a connection included. Dots are single statements, with their trace ids.",
              [query(quantile(0.99, STATEMENTS, by="db_operation_name, db_collection_name"), "{{db_operation_name}} {{db_collection_name}}", exemplar=True)], "s", fill=0),
        graph("Failed statements", "By the database's own code, or `pool_timeout`, `timeout` (no sign of life), `cancelled` and the like.",
              [query(total(rate(STATEMENTS + "_count", 'error_type!=""'), "error_type"), "{{error_type}}")], "ops", runbooks=("BelvedereDatabaseDown",)),
        graph("Slow statements", "Slower than database.slow_query (250 ms); each is a line of the log.",
              [query(total(rate("db_client_slow_queries_total"), "instance"), "{{instance}}")], "ops", width=6, runbooks=("BelvedereLatencyBudgetBurn",)),
        graph("Conflicts", "Transactions that the database gave up for others: tried again, or in the end answered 503.",
              [query(total(rate("db_client_retries_total"), "outcome"), "{{outcome}}")], "ops", width=6),
        stat("Migrations pending", "Migrations that a replica knows and the database lacks. Such a replica gets no traffic.",
             f"max({gauge('schema_migrations_pending')})", width=4, height=8, levels=NOUGHT_IS_GOOD, runbooks=("BelvedereMigrationsPending",)),
        graph("Read replica in use", "1 while GET requests read from database.read_url. 0 without one, too.",
              [query(gauge("db_replica_in_use"), "{{instance}}")], fill=0, calcs=("lastNotNull",), defaults={"max": 1}, runbooks=("BelvedereReadReplicaGone",)),
    ]),
    ("Logins and passwords", [
        graph("Logins", "Those that went well, those that did not, and accounts whose further attempts have to wait.",
              [query(total(rate("auth_events_total", f'event="{event}"')), title) for event, title in
               (("authn_login_success", "went well"), ("authn_login_fail", "failed"), ("authn_login_lock", "accounts delayed"))],
              "cps", fill=0, runbooks=("BelvedereLoginFailures", "BelvedereAccountsUnderAttack")),
        graph("Security events", "Per minute, in OWASP's vocabulary; each is a line of the log.",
              [query(f"60 * {total(rate('auth_events_total'), 'event')}", "{{event}}")], "cpm", stack=True),
        graph("Password hashes", "Duration of one hash, without waiting for its turn. Dots are single hashes, with their trace ids.",
              [query(quantile(q, HASHES, by="operation"), f"{{{{operation}}}} {q * 100:g} %", exemplar=True) for q in (0.5, 0.99)], "s", fill=0),
        graph("Hashes that wait", "Beyond password.queue (64) they are refused.",
              [query(gauge("password_hash_queue"), "{{instance}}")], runbooks=("BelvedereHashingQueued",)),
        graph("Hashes refused", "Logins, registrations and new passwords that were answered 503 because the queue was full.",
              [query(total(rate("password_hash_rejected_total"), "operation"), "{{operation}}")], "cps", runbooks=("BelvedereHashingRejected",)),
        stat("Outdated hashes", "Users whose hash has other parameters than the present ones. Each is renewed at its user's next login.",
             f"max({gauge('password_hashes_outdated')})", width=8, height=8),
    ]),
    ("Limits", [
        graph("Decisions", "Budgets per client: `auth` where passwords are hashed, `default` everywhere.",
              [query(total(rate("rate_limit_decisions_total"), "policy, decision"), "{{policy}} {{decision}}")], "reqps", fill=0),
        graph("Refused by a limit", "Share of the decisions that were no.",
              [query(f"{total(rate('rate_limit_decisions_total', LIMITED), 'policy')} / {total(rate('rate_limit_decisions_total'), 'policy')}", "{{policy}}")],
              "percentunit", fill=0),
        graph("Clients remembered", "Whose budget is not full. Beyond 100,000 on a replica all begin anew.",
              [query(gauge("rate_limit_tracked_keys"), "{{instance}} {{policy}}")], fill=0, levels=thresholds(GREEN, (100000, RED))),
        graph("Redis in use", "1 while budgets are shared through rate_limit.redis_url. 0 without one, too.",
              [query(gauge("rate_limit_store_in_use"), "{{instance}}")], width=12, fill=0, calcs=("lastNotNull",), defaults={"max": 1}, runbooks=("BelvedereRateLimitStoreGone",)),
        graph("Errors of Redis", "What it refused or did not answer in time.",
              [query(total(rate("rate_limit_store_errors_total"), "instance, operation"), "{{instance}} {{operation}}")], "cps", width=12, runbooks=("BelvedereRateLimitStoreGone",)),
    ]),
    ("Telemetry", [
        graph("Exported", "Spans and log records that the collector took.",
              [query(total(rate("telemetry_exported_total"), "signal"), "{{signal}}")], "cps"),
        graph("Lost", "Not taken by the collector, or without room in the queue.",
              [query(total(rate("telemetry_failed_total"), "signal"), "{{signal}} not taken"), query(total(rate("telemetry_dropped_total"), "signal"), "{{signal}} no room")],
              "cps", runbooks=("BelvedereTelemetryLost", "BelvedereTelemetrySilent")),
        graph("Time since the last export", "Of each signal; without a collector there is none, and no series. It ages while there is nothing to send.",
              [query(f"time() - ({gauge('telemetry_last_success_timestamp_seconds')} > 0)", "{{instance}} {{signal}}")], "s", fill=0, runbooks=("BelvedereTelemetrySilent",)),
        graph("Log events", "By level, written whatever the output did with them.",
              [query(total(rate("log_events_total"), "level"), "{{level}}")], "cps", stack=True, overrides=[
                  {"matcher": {"id": "byName", "options": level}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
                  for level, color in (("error", RED), ("warn", ORANGE), ("info", GREEN), ("debug", BLUE))]),
        graph("Log lines lost", "Not taken by stdout or the file, or not in time.",
              [query(total(rate("log_lines_dropped_total"), "instance, output"), "{{instance}} {{output}}")], "cps", runbooks=("BelvedereLogLinesDropped",)),
        graph("Scrapes", "Whether Prometheus reaches each replica, and how long a scrape takes.",
              [query(f"up{{{CHOSEN}}}", "{{instance}} up"), query(f"scrape_duration_seconds{{{CHOSEN}}}", "{{instance}} duration")],
              fill=0, overrides=[{"matcher": {"id": "byRegexp", "options": ".* duration"}, "properties": [{"id": "unit", "value": "s"}, {"id": "custom.axisPlacement", "value": "right"}]}],
              runbooks=("BelvedereDown", "BelvedereTargetDown")),
    ]),
    ("Runtime and process", [
        graph("Runtime busy", "Share of the time that worker threads do not wait. Near 1 everything is late.",
              [query(f"{rate('tokio_worker_busy_seconds_total')} / {gauge('tokio_workers')}", "{{instance}}")],
              "percentunit", fill=0, levels=FULLNESS, lines_at=True, runbooks=("BelvedereRuntimeSaturated",)),
        graph("Tasks that wait", "In the queue that all workers share.",
              [query(gauge("tokio_global_queue_depth"), "{{instance}}")]),
        graph("Tasks alive", "Connections, requests and work in the background. One that only grows is a leak.",
              [query(gauge("tokio_alive_tasks"), "{{instance}}")], fill=0),
        graph("Cores in use", "Hashing included, and the number of worker threads, which is that of the cores.",
              [query(rate("process_cpu_seconds_total"), "{{instance}}"), query(f"max({gauge('tokio_workers')})", "workers")], fill=0, runbooks=("BelvedereRuntimeSaturated",)),
        graph("Memory", "What is in RAM. Hashes that run at once need password.max_concurrent times password.memory_kib of it.",
              [query(gauge("process_resident_memory_bytes"), "{{instance}}")], "bytes", fill=0),
        graph("File descriptors", "Open ones, as a share of those that the process may have.",
              [query(f"{gauge('process_open_fds')} / {gauge('process_max_fds')}", "{{instance}}")],
              "percentunit", fill=0, levels=thresholds(GREEN, (0.8, RED)), runbooks=("BelvedereFileDescriptorsNearLimit",)),
        graph("Threads", "Workers, those that hash, and those of drivers and exporters.",
              [query(gauge("process_threads"), "{{instance}}")], fill=0, width=12),
        graph("Worker goes to sleep", "For lack of work, per second. Many and short sleeps are a service with little to do.",
              [query(rate("tokio_worker_parks_total"), "{{instance}}")], "ops", fill=0, width=12),
    ]),
    ("Certificate and issuer", [
        graph("Certificate ends in", "Of listeners that speak TLS themselves. Nothing else is here.",
              [query(f"({gauge('tls_certificate_expiry_timestamp_seconds')} > 0) - time()", "{{instance}}")], "s", fill=0,
              levels=thresholds(RED, (86400, ORANGE), (604800, GREEN)), lines_at=True, defaults={"min": None}, calcs=("lastNotNull",), runbooks=("BelvedereCertificateExpiring",)),
        graph("Failed handshakes", "Clients that refuse do not trust the certificate; the others speak no TLS, or none that is safe.",
              [query(total(rate("tls_handshake_failures_total"), "reason"), "{{reason}}")], "cps", runbooks=("BelvedereClientsRefuseCertificate",)),
        graph("Age of the issuer's keys", "With auth.mode = \"oidc\". They are fetched every five minutes or so, and are good for a day.",
              [query(f"time() - ({gauge('oidc_keys_last_success_timestamp_seconds')} > 0)", "{{instance}}")], "s", fill=0,
              levels=thresholds(GREEN, (3600, ORANGE), (72000, RED)), runbooks=("BelvedereOidcKeysOld", "BelvedereOidcKeysMissing")),
        graph("Fetches of the issuer's keys", "By what became of them.",
              [query(total(rate("oidc_keys_refresh_total"), "outcome"), "{{outcome}}")], "cps", width=24, height=6, runbooks=("BelvedereOidcKeysOld",)),
    ]),
]


def placed():
    """Rows and panels with ids and places, left to right and top to bottom."""
    panels, top = [], 0
    for title, members in ROWS:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        top, left, deepest = top + 1, 0, 0
        for member in members:
            grid = member["gridPos"]
            if left + grid["w"] > WIDTH:
                top, left, deepest = top + deepest, 0, 0
            panels.append({**member, "gridPos": {"x": left, "y": top, **grid}})
            left, deepest = left + grid["w"], max(deepest, grid["h"])
        top += deepest
    return [{"id": number, **it} for number, it in enumerate(panels, 1)]


def variable(name, label, selector, multi):
    asked = f"label_values({selector}, {name})"
    everything = {"includeAll": True, "allValue": ".*", "current": {"selected": True, "text": "All", "value": "$__all"}}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "definition": asked,
        "query": {"query": asked, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        **(everything if name != "job" else {"includeAll": False, "current": {"selected": True, "text": "belvedere", "value": "belvedere"}}),
    }


def annotation(name, expr, color, title, text, tags, **more):
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "30s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": tags,
        **more,
    }


def dashboard():
    # Only this service has it.
    own = "schema_migrations_pending"
    started = f"{gauge('process_start_time_seconds')} * on (namespace, job, instance) group_left (version, revision) {gauge('build_info')} * 1000"
    firing = 'ALERTS{job="$job", namespace=~"$namespace", alertstate="firing"}'
    return {
        "uid": "belvedere",
        "title": "Belvedere",
        "description": "One service: its traffic, its errors, how long it takes, what runs short, who logs in, and whether its telemetry arrives.",
        "tags": ["belvedere"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "links": [
            {"type": "link", "title": "Runbooks", "icon": "doc", "url": f"{RUNBOOKS}/README.md", "targetBlank": True, "tooltip": "What each alert means, and what to do"},
            {"type": "link", "title": "Metrics", "icon": "info", "url": METRICS, "targetBlank": True, "tooltip": "What each metric means"},
        ],
        "templating": {"list": [
            {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "current": {}, "includeAll": False, "multi": False, "refresh": 1},
            variable("job", "Job", own, False),
            variable("namespace", "Namespace", f'{own}{{job="$job"}}', True),
            variable("instance", "Replica", f'{own}{{job="$job", namespace=~"$namespace"}}', True),
        ]},
        "annotations": {"list": [
            {"builtIn": 1, "name": "Annotations & Alerts", "type": "dashboard", "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True, "iconColor": "rgba(0, 211, 255, 1)"},
            annotation("Starts", started, BLUE, "{{instance}} starts", "version {{version}} {{revision}}", "version", useValueForTime=True),
            annotation("Alerts", firing, RED, "{{alertname}}", "{{severity}} {{instance}}", "severity"),
        ]},
        "panels": placed(),
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=1, ensure_ascii=False))

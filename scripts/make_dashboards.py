#!/usr/bin/env python3
"""Writes the dashboards of Grafana (deploy/grafana/dashboards/): make_dashboards.py [--check]. Panels are lines here, so that
they can be read and compared; a test holds their figures to those that the service tells."""

import argparse
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "deploy/grafana/dashboards"
SOURCE = {"type": "prometheus", "uid": "isopleth-prometheus"}
RATE = "[$__rate_interval]"
OF = 'instance=~"$instance"'

# A row, or a panel: title, unit, what it says, [(expression, legend)], and for a single number True.
SERVICE = [
    "Requests",
    ("Requests a second", "reqps", "Answered, by status.",
     [(f"sum by (status) (rate(isopleth_requests_total{{{OF}}}{RATE}))", "{{status}}")]),
    ("Seconds, by route", "s", "95 of 100 requests take no longer, from head to head.",
     [(f"histogram_quantile(0.95, sum by (le, route) (rate(isopleth_request_duration_seconds_bucket{{{OF}}}{RATE})))", "{{route}}")]),
    ("Who computes, who waits", "short", "Requests that compute, that wait for a place, and that are under way in all.",
     [(f"isopleth_computing{{{OF}}}", "computing"), (f"isopleth_waiting{{{OF}}}", "waiting"),
      (f"isopleth_requests_in_flight{{{OF}}}", "under way")]),
    ("Refused", "short", "Connections beyond the limits, and requests answered 429 and 503, in five minutes.",
     [(f"increase(isopleth_connections_refused_total{{{OF}}}[5m])", "connections"),
      (f'sum by (status) (increase(isopleth_requests_total{{{OF},status=~"429|503"}}[5m]))', "{{status}}")]),
    "Maps",
    ("Maps and fields a minute", "short", "",
     [(f"rate(isopleth_maps_total{{{OF}}}{RATE}) * 60", "maps"), (f"rate(isopleth_fields_total{{{OF}}}{RATE}) * 60", "fields")]),
    ("Cells a second", "short", "Of all fields together.", [(f"rate(isopleth_cells_total{{{OF}}}{RATE})", "cells")]),
    ("Seconds taken for a second foreseen", "none", "Above 1 maps take longer than their plans said: other programs on the machine, say.",
     [(f"rate(isopleth_map_seconds_total{{{OF}}}{RATE}) / rate(isopleth_map_predicted_seconds_total{{{OF}}}{RATE})", "taken / foreseen")]),
    ("Factorisations", "short", "Where they come from: a network seen before needs none.",
     [(f"sum by (origin) (increase(isopleth_factorisations_total{{{OF}}}[5m]))", "{{origin}}")]),
    ("Tiles done again", "percentunit", "Share of tiles that failed their certificate and were done again exactly.",
     [(f"rate(isopleth_tiles_redone_total{{{OF}}}{RATE}) / (rate(isopleth_tiles_total{{{OF}}}{RATE}) > 0)", "share")]),
    ("Error at stations left out", "none", "Root mean square, of the last map of each variable, in its unit.",
     [(f"isopleth_loo_rmse{{{OF}}}", "{{network}} {{variable}}")]),
    "Jobs",
    ("Jobs by status", "short", "Those that are remembered.", [(f"isopleth_jobs{{{OF}}}", "{{status}}")]),
    ("Jobs that wait", "short", "By lane.", [(f"isopleth_jobs_waiting{{{OF}}}", "{{lane}}")]),
    ("Jobs ended in an hour", "short", "",
     [(f"sum by (process, outcome) (increase(isopleth_jobs_ended_total{{{OF}}}[1h]))", "{{process}} {{outcome}}")]),
    "Memory",
    ("Memory of the process", "bytes", "Resident (VmRSS), its peak (VmHWM), and its share (PSS), beside the limit.",
     [(f"isopleth_memory_resident_bytes{{{OF}}}", "resident"), (f"isopleth_memory_peak_bytes{{{OF}}}", "peak"),
      (f"isopleth_memory_proportional_bytes{{{OF}}}", "proportional"), (f"isopleth_memory_limit_bytes{{{OF}}}", "limit")]),
    ("Memory of the control group", "bytes", "With the file cache, which the kernel takes back when it must.",
     [(f"isopleth_group_memory_bytes{{{OF}}}", "now"), (f"isopleth_group_memory_peak_bytes{{{OF}}}", "peak")]),
    ("Memory foreseen", "bytes", "By the plans of maps under way, and the largest so far.",
     [(f"isopleth_map_predicted_bytes{{{OF}}}", "under way"), (f"isopleth_map_largest_predicted_bytes{{{OF}}}", "largest")]),
    ("At the limit", "short", "Times that the group was at its limit, and processes killed there.",
     [(f"isopleth_group_limit_reached{{{OF}}}", "reached"), (f"isopleth_group_killed{{{OF}}}", "killed")]),
]

HOURS = [
    "Hours",
    ("Late", "s", "How long the hour that is due is overdue.", [(f"isopleth_schedule_late_seconds{{{OF}}}", "{{schedule}}")]),
    ("Age of the newest map", "s", "Since the hour that it is of.",
     [(f"time() - (isopleth_schedule_newest_seconds{{{OF}}} > 0)", "{{schedule}}")]),
    ("Hours by state", "short", "made, waiting, running, too_few, missing, failed.",
     [(f"isopleth_schedule_slots{{{OF}}}", "{{schedule}} {{state}}")]),
    ("Deliveries that wait", "short", "Maps that a sink has not taken yet.", [(f"isopleth_deliveries_waiting{{{OF}}}", "{{sink}}")]),
    ("Notices in an hour", "short", "", [(f"sum by (kind) (increase(isopleth_notices_total{{{OF}}}[1h]))", "{{kind}}")]),
    "Canary and account",
    ("Since the canary's last success", "s", "A small job with a known answer.",
     [(f"time() - (isopleth_canary_last_success_timestamp_seconds{{{OF}}} > 0)", "seconds")]),
    ("Number of the canary", "short", "Goes up by one each time.", [(f"isopleth_canary_sequence{{{OF}}}", "number")]),
    ("Failures of the canary in an hour", "short", "By reason.",
     [(f"sum by (reason) (increase(isopleth_canary_failures_total{{{OF}}}[1h]))", "{{reason}}")]),
    ("Seconds of the canary", "s", "From sending to its answer, the queue included.", [(f"isopleth_canary_seconds{{{OF}}}", "seconds")]),
    ("Rows of the account", "short", "That wait to be written, and that were lost.",
     [(f"isopleth_usage_rows_waiting{{{OF}}}", "waiting"), (f"isopleth_usage_rows_lost_total{{{OF}}}", "lost")]),
    ("Difference of the account", "short", "Between jobs and their rows; anything but 0 is wrong.",
     [(f"isopleth_reconciliation_difference{{{OF}}}", "difference")]),
    "Service",
    ("Up", "s", "Since the last start.", [(f"isopleth_uptime_seconds{{{OF}}}", "{{instance}}")]),
    ("Version", "none", "", [(f"isopleth_build_info{{{OF}}}", "{{version}}")]),
]


def dashboard(uid, title, lines):
    panels, y, x = [], 0, 0
    for number, line in enumerate(lines, start=1):
        if isinstance(line, str):
            y += 8 if x else 0
            panels.append({"id": number, "type": "row", "title": line, "collapsed": False, "panels": [],
                           "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
            x, y = 0, y + 1
            continue
        name, unit, says, targets = line
        panels.append({
            "id": number, "type": "timeseries", "title": name, "description": says, "datasource": SOURCE,
            "gridPos": {"h": 8, "w": 8, "x": x, "y": y},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}},
                            "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
            "targets": [{"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
                        for at, (expr, legend) in enumerate(targets)],
        })
        x += 8
        if x == 24:
            x, y = 0, y + 8
    return {
        "uid": uid, "title": title, "tags": ["isopleth"], "schemaVersion": 39, "version": 1, "editable": False,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-24h", "to": "now"}, "panels": panels,
        "annotations": {"list": [{
            "name": "Starts", "enable": True, "iconColor": "orange", "datasource": SOURCE,
            "expr": f"resets(isopleth_uptime_seconds{{{OF}}}[1m]) > 0", "step": "1m", "titleFormat": "start"}]},
        "templating": {"list": [{
            "name": "instance", "label": "Service", "type": "query", "datasource": SOURCE, "refresh": 2, "multi": True,
            "includeAll": True, "current": {"text": ["All"], "value": ["$__all"]},
            "query": {"query": "label_values(isopleth_build_info, instance)", "refId": "A"},
            "definition": "label_values(isopleth_build_info, instance)"}]},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="say whether the files are as they would be written")
    check = parser.parse_args().check
    for name, title, lines in [("service", "Isopleth: service", SERVICE), ("hours", "Isopleth: hours", HOURS)]:
        path = FOLDER / f"{name}.json"
        text = json.dumps(dashboard(f"isopleth-{name}", title, lines), indent=1, ensure_ascii=False) + "\n"
        if check and (not path.exists() or path.read_text() != text):
            sys.exit(f"{path} is not what scripts/make_dashboards.py writes")
        if not check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()

"""Scrapes /metrics as Prometheus' own Python library reads it, and prints what it found as JSON.

Usage: scrape_metrics.py http://HOST:PORT/metrics
"""

import json
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1], timeout=30) as response:
    kind = response.headers["content-type"]
    text = response.read().decode()
families = list(text_string_to_metric_families(text))
json.dump(
    {
        "content_type": kind,
        "families": [{"name": f.name, "kind": f.type, "help": f.documentation} for f in families],
        "samples": [{"name": s.name, "labels": s.labels, "value": s.value} for f in families for s in f.samples],
    },
    sys.stdout,
)

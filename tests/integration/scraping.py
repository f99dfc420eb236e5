"""The metrics of a server under test, from `/metrics`."""

from __future__ import annotations

import re
import urllib.request
from collections import defaultdict

from bento_monitor.lab.server.process import ServerProcess

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
Samples = dict[str, list[tuple[dict[str, str], float]]]


def scraped_text(server: ServerProcess, path: str = "/metrics") -> str:
    """Return the metrics as text."""
    with urllib.request.urlopen(f"{server.base_url}{path}", timeout=20) as response:
        text: str = response.read().decode()
    return text


def scrape(server: ServerProcess, path: str = "/metrics") -> Samples:
    """Return the labels and the value of each sample, by name."""
    found: Samples = defaultdict(list)
    for line in scraped_text(server, path).splitlines():
        if match := _SAMPLE.match(line):
            found[match[1]].append((dict(_LABEL.findall(match[2] or "")), float(match[3])))
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples with these labels."""
    return sum(value for has, value in samples[name] if labels.items() <= has.items())

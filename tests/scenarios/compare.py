#!/usr/bin/env python3
"""The table of docs/benchmarks.md, from what `make suite` has written: compare.py target/suite/figures.json"""

import json
import sys

results = json.load(open(sys.argv[1]))["results"]
PUBLIC = ["cake-autorate", "sqm-autorate"]
scenarios = {}
for result in results:
    scenarios.setdefault((not result["controllable"], result["scenario"]), {})[result["law"]] = result["medians"]


def p95(row, law):
    return row[law]["added_delay_p95_ms"]


def used(row, law):
    return row[law]["utilisation_percent"]


def number(value, places=0):
    return "–" if value is None else f"{value:.{places}f}"


print("| scenario | p95 added delay, ms: adaptive | classic | cake-autorate | sqm-autorate | oracle "
      "| used, %: adaptive | classic | cake-autorate | sqm-autorate | oracle "
      "| adaptive: cleared after, s | regained after, s | steady writes/min | idle direction, % |")
print("|---|" + "---|" * 14)
half = more = count = 0
sums = {}
for (foreign, name), row in sorted(scenarios.items()):
    laws = ["adaptive", "classic", *PUBLIC, "oracle"]
    ours = row["adaptive"]
    cells = [number(p95(row, law), 1) for law in laws] + [number(used(row, law)) for law in laws]
    cells += [number(ours.get("cleared_after_drop_s"), 1), number(ours.get("regained_after_rise_s"), 1),
              number(ours.get("steady_writes_per_minute")), number(ours.get("idle_direction_percent_of_ceiling"))]
    print(f"| {name}{' (not ours)' if foreign else ''} | " + " | ".join(cells) + " |")
    if not foreign:
        count += 1
        half += p95(row, "adaptive") <= max(min(p95(row, law) for law in PUBLIC) / 2, 5)
        if used(row, "adaptive") is not None:
            more += used(row, "adaptive") >= max(used(row, law) for law in PUBLIC) - 0.5
        for law in laws:
            for figure, value in (("p95", p95(row, law)), ("used", used(row, law))):
                if value is not None:
                    sums.setdefault((law, figure), []).append(value)
mean = {key: sum(values) / len(values) for key, values in sums.items()}
print(f"\nOf {count} controllable scenarios the adaptive law has at most half the p95 of the better public law "
      f"(or at most 5 ms) in {half}, and uses at least as much as the one that uses more in {more}. On average over them: "
      + "; ".join(f"{law} {mean[law, 'p95']:.1f} ms, {mean[law, 'used']:.1f} %" for law in ["adaptive", "classic", *PUBLIC, "oracle"])
      + f". Against the oracle: {100 * mean['adaptive', 'used'] / mean['oracle', 'used']:.1f} % of its use.")

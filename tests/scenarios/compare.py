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
half = more = both = count = 0
alone, frugal, busy = [], 0, []
beyond, within = [], []
sums, bounds = {}, []
for (foreign, name), row in sorted(scenarios.items()):
    laws = ["adaptive", "classic", *PUBLIC, "oracle"]
    ours = row["adaptive"]
    cells = [number(p95(row, law), 1) for law in laws] + [number(used(row, law)) for law in laws]
    cells += [number(ours.get("cleared_after_drop_s"), 1), number(ours.get("regained_after_rise_s"), 1),
              number(ours.get("steady_writes_per_minute")), number(ours.get("idle_direction_percent_of_ceiling"))]
    print(f"| {name}{' (not ours)' if foreign else ''} | " + " | ".join(cells) + " |")
    if not foreign:
        count += 1
        # Whoever uses less to have less delay is another bargain: compared is the law of least delay that uses as much.
        rivals = [(p95(row, law), used(row, law)) for law in PUBLIC if used(row, law) >= used(row, "adaptive") - 2]
        if rivals:
            delay, use = min(rivals)
            half += p95(row, "adaptive") <= delay / 2
            if used(row, "adaptive") >= use:
                more += 1
            else:
                # 0.95 of a capacity that is known at every moment: more than that leaves a queue, or is luck.
                (beyond if use > used(row, "oracle") else within).append(f"{name} ({used(row, 'adaptive'):.1f} against {use:.1f})")
            both += p95(row, "adaptive") <= delay / 2 and used(row, "adaptive") >= use
        else:
            alone.append(name)
        bounds.append(max(2 * p95(row, "oracle"), 10))
        writes = ours.get("steady_writes_per_minute")
        if writes is not None:
            frugal += writes <= 20
            if writes > 20:
                busy.append(f"{name} {writes:.0f}")
        for law in laws:
            for figure, value in (("p95", p95(row, law)), ("used", used(row, law))):
                if value is not None:
                    sums.setdefault((law, figure), []).append(value)
mean = {key: sum(values) / len(values) for key, values in sums.items()}
print(f"\nOf {count} controllable scenarios, {len(alone)} have no public law that uses as much (less 2 %): {', '.join(alone)}. "
      f"Against the one of least delay that does, the adaptive law has at most half the p95 in {half} of {count - len(alone)}, "
      f"uses at least as much in {more}, and both in {both}. Where it uses less, the other uses more than the oracle in "
      f"{', '.join(beyond)}; and less than the oracle in {', '.join(within)}. Not more than 20 steady writes a minute in {frugal}; more in "
      f"{', '.join(busy)}. On average: "
      + "; ".join(f"{law} {mean[law, 'p95']:.1f} ms, {mean[law, 'used']:.1f} %" for law in ["adaptive", "classic", *PUBLIC, "oracle"])
      + f". Against the oracle: {100 * mean['adaptive', 'used'] / mean['oracle', 'used']:.1f} % of its use; its p95 doubled, "
      f"or 10 ms, is {sum(bounds) / len(bounds):.1f} ms on average.")

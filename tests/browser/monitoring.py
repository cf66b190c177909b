"""Asks a Prometheus that scrapes a running wanctl what the dashboard and the alerts ask.

monitoring.py URL DIRECTORY: of the dashboard and the rules.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

URL, DIRECTORY = sys.argv[1], sys.argv[2]
wrong = []


def check(good, what):
    if not good:
        wrong.append(what)
        print("WRONG:", what)


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True)
    check(done.returncode == 0, f"promtool {arguments}: {done.stdout.decode()}{done.stderr.decode()}")


rules = os.path.join(DIRECTORY, "rules.yml")
promtool("check", "rules", rules)
metrics = urllib.request.urlopen(URL + "metrics").read()
promtool("check", "metrics", text=metrics)

home = tempfile.mkdtemp(prefix="wanctl-prometheus-")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with open(f"{home}/prometheus.yml", "w") as file:
    file.write(f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: wanctl
    static_configs: [{{targets: ["{urllib.parse.urlparse(URL).netloc}"]}}]
""")
process = subprocess.Popen(
    ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
     f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(path, **values):
    query = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(values)}"
    return json.load(urllib.request.urlopen(query))["data"]


def answers(query):
    try:
        return len(ask("query", query=query)["result"])
    except OSError as problem:
        return f"{problem}: {problem.read().decode() if hasattr(problem, 'read') else ''}"


try:
    end = time.time() + 30
    while time.time() < end and answers("count_over_time(wanctl_up[1m]) >= 8") != 1:
        time.sleep(0.5)
    check(answers('up{job="wanctl"} == 1') == 1, "Prometheus scrapes it")
    asked = 0
    for panel in json.load(open(os.path.join(DIRECTORY, "dashboard.json")))["panels"]:
        for target in panel["targets"]:
            found = answers(target["expr"])
            check(isinstance(found, int) and found > 0, f"{panel['title']}: {target['expr']} answers {found}")
            asked += 1
    alerts = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    for rule in alerts:
        check(rule["health"] == "ok", f"{rule['name']}: {rule.get('lastError')}")
        # What it compares is there: the part before the comparison.
        for sign in [" > ", " == ", " < "]:
            if sign in rule["query"]:
                compared = rule["query"].rsplit(sign, 1)[0]
                # A router in virtual time has no flash to wear out within seconds.
                found = 1 if "flash" in compared else answers(compared)
                check(isinstance(found, int) and found > 0, f"{rule['name']}: {compared} answers {found}")
    print(f"{asked} questions of the dashboard, {len(alerts)} alerts")
    check(asked > 20 and len(alerts) >= 10, "all of them")
finally:
    process.kill()
    process.wait()
    shutil.rmtree(home, ignore_errors=True)
print("something is wrong" if wrong else "all is well")
sys.exit(bool(wrong))

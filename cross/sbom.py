#!/usr/bin/env python3
"""sbom.py FILE TARGET < cargo-metadata: what is in the program FILE, as CycloneDX 1.5 (JSON), on standard output.

Only crates that are linked in (normal dependencies, for this target, with the features chosen), with licence, source and
the checksum of Cargo.lock. No time, no random serial number: the same program has the same list."""
import hashlib, json, os, sys, tomllib

FILE, TARGET = sys.argv[1:]
metadata = json.load(sys.stdin)
packages = {p["id"]: p for p in metadata["packages"]}
nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
with open("Cargo.lock", "rb") as lock:
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(lock)["package"]}


def linked(package):
    """The crates that are linked into this one."""
    return sorted({d["pkg"] for d in nodes[package]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])
                   and not any("proc-macro" in t["kind"] for t in packages[d["pkg"]]["targets"])})


def purl(package):
    p = packages[package]
    return f"pkg:cargo/{p['name']}@{p['version']}"


root = metadata["resolve"]["root"]
seen, todo = {root}, [root]
while todo:
    for package in linked(todo.pop()):
        if package not in seen:
            seen.add(package)
            todo.append(package)


def component(package):
    p = packages[package]
    found = {"type": "application" if package == root else "library", "bom-ref": purl(package), "name": p["name"],
             "version": p["version"], "purl": purl(package)}
    if p.get("license"):
        found["licenses"] = [{"expression": p["license"].replace("/", " OR ")}]
    if checksums.get((p["name"], p["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksums[p["name"], p["version"]]}]
    if p.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": p["repository"]}]
    return found


with open(FILE, "rb") as program:
    digest = hashlib.sha256(program.read()).hexdigest()
main = component(root) | {"hashes": [{"alg": "SHA-256", "content": digest}], "properties": [
    {"name": "target", "value": TARGET}, {"name": "commit", "value": os.environ.get("WANCTL_COMMIT", "unknown")}]}
json.dump({
    "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
    "metadata": {"component": main},
    "components": [component(p) for p in sorted(seen - {root}, key=purl)],
    "dependencies": [{"ref": purl(p), "dependsOn": sorted(purl(d) for d in linked(p))} for p in sorted(seen, key=purl)],
}, sys.stdout, indent=1)
print()

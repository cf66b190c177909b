#!/usr/bin/env python3
"""image.py PROGRAM OUT.tar ARCHITECTURE VARIANT VERSION: a container image FROM scratch, without a container engine.

It is a docker-archive (what `docker save` writes, and RouterOS's `/container add file=` takes) with one uncompressed layer,
in plain ustar: RouterOS stumbles over compressed layers, PAX headers, links and OCI layouts. VARIANT is `-` for none. The
same program gives the same bytes (SOURCE_DATE_EPOCH is its time)."""
import datetime, hashlib, io, json, os, sys, tarfile

PROGRAM, OUT, ARCHITECTURE, VARIANT, VERSION = sys.argv[1:]
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
CREATED = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def archive(entries):
    """A tar of (name, mode, content); a directory has no content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, content in entries:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = mode, EPOCH
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            tar.addfile(entry, io.BytesIO(content) if content else None)
    return out.getvalue()


with open(PROGRAM, "rb") as program:
    binary = program.read()
layer = archive([
    ("etc/", 0o755, None),
    ("etc/passwd", 0o644, b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"),
    ("etc/group", 0o644, b"root:x:0:\nnobody:x:65534:\n"),
    ("etc/wanctl/", 0o755, None),
    ("tmp/", 0o1777, None),
    ("usr/", 0o755, None),
    ("usr/bin/", 0o755, None),
    ("usr/bin/wanctl", 0o755, binary),
    ("var/", 0o755, None),
    ("var/lib/", 0o755, None),
    ("var/lib/wanctl/", 0o700, None),
])
digest = hashlib.sha256(layer).hexdigest()
configuration = {
    "architecture": ARCHITECTURE,
    "os": "linux",
    "created": CREATED,
    "config": {
        "Entrypoint": ["/usr/bin/wanctl"],
        "Cmd": ["run"],
        "Env": ["PATH=/usr/bin", "WANCTL_CONFIG=/etc/wanctl/wanctl.toml"],
        "WorkingDir": "/",
        "User": "0:0",  # for CAP_NET_RAW; nothing else is asked for
        "StopSignal": "SIGTERM",
        "Volumes": {"/etc/wanctl": {}, "/var/lib/wanctl": {}},
        "Healthcheck": {"Test": ["CMD", "/usr/bin/wanctl", "health"], "Interval": 30 * 10**9, "Timeout": 5 * 10**9,
                        "StartPeriod": 60 * 10**9, "Retries": 3},
        "Labels": {"org.opencontainers.image.title": "wanctl", "org.opencontainers.image.version": VERSION,
                   "org.opencontainers.image.revision": os.environ.get("WANCTL_COMMIT", "unknown"),
                   "org.opencontainers.image.licenses": "MIT OR Apache-2.0"},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
    "history": [{"created": CREATED, "created_by": "cross/image.py"}],
}
if VARIANT != "-":
    configuration["variant"] = VARIANT
configuration = json.dumps(configuration, sort_keys=True, separators=(",", ":")).encode()
name = hashlib.sha256(configuration).hexdigest() + ".json"
manifest = [{"Config": name, "RepoTags": ["localhost/wanctl:" + VERSION], "Layers": ["layer.tar"]}]
with open(OUT, "wb") as out:
    out.write(archive([
        ("manifest.json", 0o644, json.dumps(manifest, separators=(",", ":")).encode()),
        (name, 0o644, configuration),
        ("layer.tar", 0o644, layer),
    ]))

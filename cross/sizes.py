#!/usr/bin/env python3
"""sizes.py PROGRAM: code by crate, in bytes, of an unstripped program (`make sizes`). Generic code counts where it was written."""
import collections, re, subprocess, sys

sizes = collections.Counter()
for line in subprocess.run(["nm", "-S", "--defined-only", "-C", sys.argv[1]], capture_output=True, text=True, check=True).stdout.splitlines():
    found = re.match(r"[0-9a-f]+ ([0-9a-f]+) [tTwWrRvV] (.*)", line)
    if found:
        name = re.sub(r"^<?&?(mut )?(dyn )?", "", found[2])
        crate = re.match(r"([a-z_0-9]+)(\[[0-9a-f]+\])?::", name)
        sizes[crate[1] if crate else "C, assembler and the rest"] += int(found[1], 16)
for crate, size in sizes.most_common(30):
    print(f"{size:9} {crate}")
print(f"{sum(sizes.values()):9} in all")

#!/usr/bin/env python3
"""A bill of materials of the program as CycloneDX 1.6: every crate that is built into it or builds it, with version, licence,
checksum and what it asks for, by `cargo metadata` and Cargo.lock. The same lock file gives the same bytes.

    scripts/sbom.py > isopleth.cdx.json
"""

import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def reached(nodes, start):
    """All that is needed to build and run, each with what it asks for; no development dependencies."""
    wanted, waiting = {}, [start]
    while waiting:
        name = waiting.pop()
        if name in wanted:
            continue
        of = [d["pkg"] for d in nodes[name]["deps"] if any(k["kind"] in (None, "build") for k in d["dep_kinds"])]
        wanted[name] = sorted(set(of))
        waiting.extend(wanted[name])
    return wanted


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums, kind="library"):
    about = {
        "type": kind,
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("description"):
        about["description"] = " ".join(package["description"].split())
    if package.get("license"):
        # Some still write the slash of old for OR.
        about["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        about["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        about["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return about


def main():
    told = metadata()
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}
    packages = {p["id"]: p for p in told["packages"]}
    nodes = {n["id"]: n for n in told["resolve"]["nodes"]}
    wanted = reached(nodes, told["resolve"]["root"])
    root = packages[told["resolve"]["root"]]
    order = sorted(wanted, key=lambda name: reference(packages[name]))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(root, checksums, "application")},
        "components": [component(packages[name], checksums) for name in order if packages[name] is not root],
        "dependencies": [
            {"ref": reference(packages[name]), "dependsOn": sorted(reference(packages[of]) for of in wanted[name])}
            for name in order
        ],
    }
    # By its contents, so that the same bill has the same number.
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True)).urn
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

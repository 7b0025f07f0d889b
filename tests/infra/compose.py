"""Checks what a schema of Compose cannot say: compose.py COMPOSE PROGRAMS

Every container of ours has a read-only root, no capability and a health check by its own program; every variable that it is given is one that the
program, built in the folder PROGRAMS, knows; secrets are files; what is mounted is there.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

compose, programs = Path(sys.argv[1]), Path(sys.argv[2])
document = YAML(typ="safe").load(compose.read_text())
faults = []

# What the library of Azure's blobs reads by itself.
AZURE = {"AZURE_STORAGE_USE_EMULATOR", "AZURITE_BLOB_STORAGE_URL"}


def said(program, *words):
    return subprocess.run([programs / program, *words], check=True, capture_output=True, text=True).stdout


def of_help(program, *words):
    """Variables of a program by its help: each, and NAME_FILE of those that hide what they hold."""
    names = re.findall(r"\[env:\s+(\w+)(=)?", said(program, *words, "--help"))
    return {name for name, _ in names} | {f"{name}_FILE" for name, shown in names if not shown}


settings = [row["key"] for row in json.loads(said("appserver", "config", "--json"))]
keys = {f"APPSERVER_{key.replace('.', '_').upper()}" for key in settings if "." in key}
gateway = keys | {"APPSERVER_CONFIG", "PORT", "RHINO_COMPUTE_URL", "RHINO_COMPUTE_KEY", "RHINO_COMPUTE_KEY_FILE", "RESULT_CACHE_TTL", "JWT_JWKS_URL"}
known = {
    "appserver/appserver": gateway | of_help("appserver", "migrate"),
    "appserver/api": of_help("appserver-api") | AZURE,
    "appserver/worker": of_help("appserver-worker") | AZURE,
    "appserver/simnode": set(),
}

for name, service in document["services"].items():
    if not service["image"].startswith("appserver/"):
        if not re.search(r":[\w.-]+$", service["image"]) or service["image"].endswith(":latest"):
            faults.append(f"{name}: the image has no version")
        continue
    if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"] or service.get("user"):
        faults.append(f"{name}: its root is written, or it has capabilities, or another user than the image's")
    if "no-new-privileges:true" not in service.get("security_opt", []):
        faults.append(f"{name}: it may gain privileges")
    for variable, value in (service.get("environment") or {}).items():
        if variable not in known[service["image"]]:
            faults.append(f"{name}: its program knows no {variable}")
        if re.search(r"KEY$|CONN$|DATABASE_URL$", variable):
            faults.append(f"{name}: {variable} is a secret in the open: give it by {variable}_FILE")
        if variable.endswith("_FILE") and Path(value).name not in service.get("secrets", []):
            faults.append(f"{name}: {variable} names a secret that it is not given")
    for other in service.get("depends_on", {}):
        if other not in document["services"]:
            faults.append(f"{name}: there is no {other}")
for name, service in document["services"].items():
    for secret in service.get("secrets", []):
        if secret not in document["secrets"]:
            faults.append(f"{name}: there is no secret {secret}")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./") and "secrets" not in source and not (compose.parent / source).exists():
            faults.append(f"{name}: there is no {source}")

print("\n".join(faults) or f"{len(document['services'])} services")
sys.exit(bool(faults))

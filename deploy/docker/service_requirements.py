"""The part of `requirements.lock` that one service needs, hashes and all: what its image installs.

python service_requirements.py crm-bridge <requirements.lock >service.lock

The lock says under each package through which others it came in (`# via …`); what comes in through the service or
through `common`, directly or not, is kept.
"""

from __future__ import annotations

import re
import sys

_PACKAGE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==")
_VIA = re.compile(r"^ +#(?: via)? +(\S+)$", re.MULTILINE)


def service_requirements(lock: str, service: str) -> str:
    """The lines of `lock` that `service` needs. Raises ValueError when the lock does not know it or `common`."""
    blocks: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        found = _PACKAGE.match(line)
        if found:
            name = found[1]
            blocks[name] = ""
        if name and not line.startswith("#"):
            blocks[name] += line
    via = {package: set(_VIA.findall(block)) for package, block in blocks.items()}
    if not any("common" in origins for origins in via.values()):
        raise ValueError("the lock does not say what `common` needs: was it exported without annotations?")
    needed = {"common", service}
    while True:
        more = {package for package, origins in via.items() if origins & needed} - needed
        if not more:
            return "".join(block for package, block in blocks.items() if package in needed)
        needed |= more


if __name__ == "__main__":
    sys.stdout.write(service_requirements(sys.stdin.read(), sys.argv[1]))

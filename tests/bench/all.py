"""Every benchmark of `make bench`, one after the other; the last line is one JSON object with all their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "bench_decide.py",
    "bench_estimates.py",
    "bench_kpi.py",
    "bench_import.py",
    "bench_backbone.py",
    "bench_routing.py",
    "bench_memory.py",
)


def main() -> None:
    figures: dict[str, object] = {}
    for script in SCRIPTS:
        print(f"\n── {script}", flush=True)
        command = [sys.executable, str(Path(__file__).with_name(script))]
        last = ""
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                last = line.strip() or last
        if process.returncode:
            sys.exit(f"{script} failed")
        if last.startswith("{"):
            figures |= json.loads(last)
    print()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

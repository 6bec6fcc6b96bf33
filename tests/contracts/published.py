"""The published versions of events: one golden JSON and one JSON Schema each.

    python tests/contracts/published.py      # publish the schemas of new events, and of compatible changes

A change that readers of the old version could not bear is refused: it needs a new version (`….v2`) beside the old one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsoncompat
import msgspec
from common.events import CATALOGUE, Event

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "golden"
SCHEMAS = FOLDER / "schemas"


def schema_text(cls: type[Event]) -> str:
    """The JSON Schema of the class, as it is committed."""
    schema = msgspec.json.encode(msgspec.json.schema(cls), order="deterministic")
    return msgspec.json.format(schema, indent=2).decode() + "\n"


def compatible(published: str, present: str) -> bool:
    """Whether a reader of the present schema accepts all that was written by the published one.

    Both are closed for the comparison: in an open schema every field not named may hold anything, and nothing that is
    added would be compatible.
    """
    return jsoncompat.check_compat(_closed(published), _closed(present), jsoncompat.Role.DESERIALIZER)


def _closed(schema: str) -> str:
    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(each) for each in node]
        if not isinstance(node, dict):
            return node
        closed = {name: close(value) for name, value in node.items()}
        return {**closed, "additionalProperties": False} if node.get("type") == "object" else closed

    return msgspec.json.encode(close(msgspec.json.decode(schema))).decode()


def main() -> None:
    """Write the schemas that are new or compatibly changed; exit 1 for any other."""
    refused = []
    for kind, cls in CATALOGUE.items():
        path, present = SCHEMAS / f"{kind}.json", schema_text(cls)
        if path.exists() and not compatible(path.read_text(), present):
            refused.append(kind)
        else:
            path.write_text(present)
    if refused:
        sys.exit(f"not backward compatible, publish a new version instead: {', '.join(refused)}")


if __name__ == "__main__":
    main()

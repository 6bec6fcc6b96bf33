"""Answers that only dialer gives (the tree is in `common.errors`).

Problem
├── TooLarge              413  the file is larger than the limit
├── UnsupportedMediaType  415  the body is not CSV
└── Invalid
    └── RejectedRows      422  rows of a file are wrong, and nothing was imported
"""

from __future__ import annotations

from typing import Any

from common.errors import Invalid, Problem


class TooLarge(Problem):
    id, status, title = "too-large", 413, "The body is too large"


class UnsupportedMediaType(Problem):
    id, status, title = "unsupported-media-type", 415, "The body has the wrong media type"


class RejectedRows(Invalid):
    """`errors` lists the first rejects by line; `rows` and `rejected` count all of them; `read_as`: how the file was
    understood, None when it was not."""

    id, title = "rejected-rows", "Rows of the file are wrong; nothing was imported"

    def __init__(
        self,
        detail: str,
        *,
        errors: list[dict[str, Any]],
        rows: int,
        rejected: int,
        read_as: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, errors=errors)
        self.read_as = read_as
        self.rows = rows
        self.rejected = rejected

    def document(self) -> dict[str, Any]:
        return {**super().document(), "rows": self.rows, "rejected": self.rejected, "read_as": self.read_as}

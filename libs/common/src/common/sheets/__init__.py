"""Lists that a spreadsheet program saved as CSV: bytes in pieces in, whole rows with their lines out."""

from __future__ import annotations

from common.sheets.faults import Reject, UnreadableFile, shown
from common.sheets.headings import Columns
from common.sheets.lines import SAVE_AS
from common.sheets.reader import ReadAs, SheetReader, SheetRow

__all__ = ["SAVE_AS", "Columns", "ReadAs", "Reject", "SheetReader", "SheetRow", "UnreadableFile", "shown"]

"""Where things are in the clone."""

from __future__ import annotations

from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
CONTRIB = CLONE / "contrib"
CAPTURES = CLONE / "tests" / "captures"

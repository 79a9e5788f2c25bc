"""The report of a run: one HTML file that needs nothing beside it."""

from __future__ import annotations

from pie_framework.runs.report.page import render_report

__all__ = ["render_report"]

"""The report: one self-contained HTML file."""

from xplain.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]

"""The report: one self-contained HTML file."""

from xplain.report.page import render_report, render_study, write_report, write_study_report

__all__ = ["render_report", "render_study", "write_report", "write_study_report"]

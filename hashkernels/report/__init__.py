"""Experiments, tables, figures and the HTML page."""

from __future__ import annotations

from hashkernels._page.tables import latex_table, markdown_table, text_table
from hashkernels.report.experiment import CenterDistance, MethodResult, center_distance, run_method, versions
from hashkernels.report.folder import save_results
from hashkernels.report.page import render_page
from hashkernels.report.tables import summary_header, summary_rows

__all__ = [
    "CenterDistance",
    "MethodResult",
    "center_distance",
    "latex_table",
    "markdown_table",
    "render_page",
    "run_method",
    "save_results",
    "summary_header",
    "summary_rows",
    "text_table",
    "versions",
]

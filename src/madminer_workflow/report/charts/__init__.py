"""The charts of the page, made of ``results.json`` alone: data for its script to draw.

The rows that they show are those of the figures for papers.
"""

from __future__ import annotations

from madminer_workflow.report.charts import information, limits, models, physics
from madminer_workflow.report.charts.marks import Chart
from madminer_workflow.report.results import Report


def charts(report: Report) -> list[Chart]:
    """All charts of an analysis, in the order of the page."""
    modules = (limits, physics, models, information)
    return [chart for module in modules for chart in module.charts(report)]

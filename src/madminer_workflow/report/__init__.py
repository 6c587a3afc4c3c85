"""The report: results, verdict, figures, tables and the page."""

"""From one analysis file to publication-grade limits with MadMiner."""

from madminer_workflow.madminer_imports import arrange_imports

__version__ = "1.0.0.dev0"

arrange_imports()

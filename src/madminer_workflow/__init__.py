"""From one analysis file to publication-grade limits with MadMiner."""

__version__ = "1.0.0.dev0"

"""From the analysis file to MadMiner's event file."""

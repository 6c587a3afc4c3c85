"""From MadMiner's event file to limits."""

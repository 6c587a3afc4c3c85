"""Pythia's wheel has the settings and parton densities that it needs."""

import pythia8mc

pythia = pythia8mc.Pythia("", False)
assert pythia.readString("Random:seed = 1")
print(f"Pythia: {pythia.settings.parm('Pythia:versionNumber')}")

"""Scripts that run in MadGraph's interpreter: standard library, numpy and MadGraph only.

Each reads its instructions from the JSON file that is its only argument.
"""

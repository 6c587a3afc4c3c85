"""Scripts that run in MadGraph's interpreter: standard library, numpy and MadGraph only.

``run.py`` hands each the instructions in a JSON file.
"""

"""Hyperparameter searches: trials of one method's settings on events that are there already.

``plan`` is the sweep file, ``search`` proposes trials, ``workers`` run them as ``trials`` says, and
``outcome`` tells what they come to; ``run`` does it all. How each trial ended is a file of the work
directory (``results``): that is all a sweep needs to go on where it stopped.
"""

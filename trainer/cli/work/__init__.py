"""What the verbs do after their arguments and photos were checked.

These modules import the training libraries, which takes seconds. The modules of the
verbs import none: each imports its part of this folder when nothing is left to refuse.
"""

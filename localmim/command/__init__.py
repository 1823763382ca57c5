"""The command ``localmim``, and the same as functions.

Everything here builds configs that ``tools/`` run, and runs them in the same way.
"""

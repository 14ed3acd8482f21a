"""Commands of the command line that are more than a call of the library; :mod:`~stocklean_exec.cli` parses them.

Begin with ``notification``: how a run from cron tells a person how it went.
"""

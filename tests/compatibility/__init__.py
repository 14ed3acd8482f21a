"""Files as a released version leaves them on disk, kept so that later versions are tested on them.

``python -m tests.compatibility FOLDER`` writes them with the package as it is; see README.md beside this file.
"""

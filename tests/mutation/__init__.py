"""One-line mutants of a module, and whether its tests notice: ``python -m tests.mutation --modules fees``."""

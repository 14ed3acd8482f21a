"""How much of each module its own tests run: ``python -m tests.coverage --modules execution.funding``."""

"""``python -m stocklean_exec`` is the command ``stocklean``."""

from stocklean_exec.cli import main

raise SystemExit(main())

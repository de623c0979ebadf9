"""``python -m hashkernels`` is the command ``hashkernels``."""

from __future__ import annotations

from hashkernels.cli import main

main()

"""An evaluation as figures and as a page: one run, or several side by side."""

"""The report: a page and its figures, from records alone."""

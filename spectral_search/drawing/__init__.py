"""How figures are made and drawn: what reports and the chapters of tasks share."""

"""What spectra add to records and reports: bins, verdicts, figures, baselines, tables with units."""

"""Where epochs are shown beside a run's own record: a module for each."""

"""Traffic as a task: the next hour of every sensor of a road network."""

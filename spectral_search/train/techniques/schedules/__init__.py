"""Learning-rate schedules by the name in `fit.schedule`: each module's SCHEDULE."""

"""Averages of weights by the name in `fit.weight_average`: each module's WEIGHT_AVERAGE."""

"""The study: sampler, pruning rule, trials and the Ray Tune driver."""

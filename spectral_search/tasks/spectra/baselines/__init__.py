"""What a network must beat, and what bounds it: Ridge, LightGBM, oracle mixture, posterior-mean ceiling."""

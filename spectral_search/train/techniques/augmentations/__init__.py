"""Augmentations by the `kind` of an item of `fit.augment`: each module's AUGMENTATION."""

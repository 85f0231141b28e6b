"""Pairs of images as a task: do both show the same thing?"""

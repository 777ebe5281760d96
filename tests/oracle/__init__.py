"""Slow and obvious truths to compare the engine with. Nothing here imports transect."""

"""Data sets as tensors: generated ones, label noise, the cache."""

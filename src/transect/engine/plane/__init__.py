"""Networks restricted to planes: convex polygons instead of intervals, by the same signs, rounding and merging."""

"""What the tables of a study say: curves and peaks, kinds of paths, two studies side by side, the paper's claims."""

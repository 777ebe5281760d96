"""Studies: data, models, training, sweeps over widths and seeds, and what they show."""

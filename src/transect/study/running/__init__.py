"""A study run: its networks trained and measured on workers, everything kept as it is finished."""

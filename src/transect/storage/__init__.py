"""Files: tables of studies in Parquet and CSV, all written atomically."""

"""Files, all written atomically: tables in Parquet and CSV, traces in safetensors."""

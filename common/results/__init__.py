"""What a result is: its folder, metrics, manifest, tables and figures."""

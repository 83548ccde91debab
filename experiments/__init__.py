"""Studies: small models side by side."""

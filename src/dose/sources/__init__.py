"""Where every sound comes from: clips with licences, cleaned, deduplicated and split by kit."""

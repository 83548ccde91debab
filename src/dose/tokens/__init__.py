"""Audio as token sequences for the language model: delay pattern, layout, prompts and token shards."""

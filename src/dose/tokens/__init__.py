"""Sound as the sequence that the language model reads: delay pattern, layout, prompts and token shards."""

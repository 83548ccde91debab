"""The data card: what the data hold, and how the realistic distribution differs from the paper's."""

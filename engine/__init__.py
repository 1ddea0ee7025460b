"""One run, from its config to its record, and many of them."""

"""Delta tables and the reads that are made from them."""

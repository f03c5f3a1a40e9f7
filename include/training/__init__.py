"""Windows, fit, judgement on held-out sessions."""

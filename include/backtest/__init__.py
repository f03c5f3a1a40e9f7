"""Forecasts of held-out sessions: windows, the walk over origins, and how far each model was from what came."""

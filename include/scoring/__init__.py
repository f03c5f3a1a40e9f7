"""The Production model over the newest windows."""

"""The processes of an embedded Closecast: what runs, where, and who watches it."""

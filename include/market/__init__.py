"""Sessions and closes, upload readers, the simulated exchange."""

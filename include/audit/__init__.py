"""Where a forecast came from, whether it comes out again, and whether anything was changed since."""

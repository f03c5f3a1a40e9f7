"""An upload becomes typed bars."""

"""What runs when: wiring only."""

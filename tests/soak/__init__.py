"""Long runs, by hand: `make soak`."""

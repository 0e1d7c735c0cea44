"""Side-by-side measurements: each run does the same work with chatstore and with its peers."""

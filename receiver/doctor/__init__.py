"""What is wrong with a station, and what to do about it, with and without a running daemon."""

"""What the page plots, and the file beside the store that it comes from."""

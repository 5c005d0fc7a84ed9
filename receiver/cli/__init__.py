"""The commands of `stopover`: parse, call, print."""

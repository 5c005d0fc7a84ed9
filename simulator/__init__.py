"""A world with tags, air and radios that speaks through `protocols`, with the truth on the side."""

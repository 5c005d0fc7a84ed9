"""What CTT radios, nodes and stations say: packets, lines, records, files."""

"""The daemon and its commands: everything that touches the world."""

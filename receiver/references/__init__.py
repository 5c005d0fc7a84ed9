"""What else knows the time and the place: chrony, gpsd, and how far each is trusted."""

"""How the station is: what the page, `status`, `doctor`, the alarms and the metrics all tell."""

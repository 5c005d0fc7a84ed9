"""Connections that frames arrive over: serial ports, MQTT brokers, recordings."""

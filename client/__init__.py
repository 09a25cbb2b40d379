"""Berth from a program: apply, get, watch, wait, delete, diff, logs. See `client.client.Client`."""

"""``bakeoff ui``: pages over the store, on this machine; the report is their printable twin."""

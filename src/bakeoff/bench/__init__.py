"""The same work side by side, and what it cost each: what the parts of bakeoff are judged by."""

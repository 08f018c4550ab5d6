"""What goes over the wire, for both sides of it: the dialects, and what they have in common."""

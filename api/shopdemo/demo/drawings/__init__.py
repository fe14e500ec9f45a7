"""What the demo goods look like: one function for each kind, drawn on a `Sketch` in a tint, with variations."""

"""Things with a life: opened when the service starts, closed when it stops."""

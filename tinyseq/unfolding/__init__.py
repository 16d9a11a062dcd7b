"""A step recorded once and stamped for every time step or tree node."""

"""Executors: what runs a tape. ``reference`` is the definition; the compiled one must agree with it."""

"""Pictures of tapes and cells."""

"""Statistics without persons: one row for each chat that ended and for each left question, and the reports of them."""

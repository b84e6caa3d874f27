"""The info sheet of a department: the page behind a blue button."""

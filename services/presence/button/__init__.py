"""The button of each department, and the department queues as presence needs them for it."""

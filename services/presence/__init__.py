"""The presence service: agents and their sessions, slots, opening hours, and the button of each department."""

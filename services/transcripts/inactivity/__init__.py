"""Inactivity of citizens: the rules of warnings and closing, and the timers that apply them."""

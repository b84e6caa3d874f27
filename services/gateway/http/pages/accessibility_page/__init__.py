"""Accessibility statement: how far the chat meets WCAG 2.2, and whom to tell of a barrier."""

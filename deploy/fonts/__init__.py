"""Generator of the fonts of the PDF."""

"""What is stored about a chat when it has ended: ratings, labels and download codes."""

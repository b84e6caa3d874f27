"""Requests and answers of the internal APIs, one module for each service that answers them."""

"""The MongoDB client and the migrations of the services' databases."""

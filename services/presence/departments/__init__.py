"""The departments in the database of presence (`CONFIG_SOURCE=database`)."""

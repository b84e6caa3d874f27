"""Internal API of transcripts: what gateways read, and the files and transcripts that they pass on."""

"""Files in the formats that sources keep them in, and the types that their values have."""

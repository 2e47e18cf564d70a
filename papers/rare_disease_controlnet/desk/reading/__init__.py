"""The reading room: blinded sets, who reads them in which order, and what they answer."""

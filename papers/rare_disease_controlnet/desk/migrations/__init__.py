"""The tables as they came to be, one revision after another; `schema` applies them."""

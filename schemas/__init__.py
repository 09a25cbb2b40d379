"""What every object is: pure values, parsing, defaults, admission, keys. Imports nothing of Berth."""

"""`modelwire demo`: the whole line on one machine, as a user would run it."""

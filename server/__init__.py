"""The front door: the app, its start and its end, who is let in, and the settings of it all."""

"""Programs that take the place of components. Each prints one line of JSON for what happens to it."""

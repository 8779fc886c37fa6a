"""Models for agent frameworks, each in a module that imports its framework and belongs to an extra of its name."""

"""One script per schema revision. A released one is never changed again."""

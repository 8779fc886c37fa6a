"""Alembic's folder: env.py and one script per schema revision, shipped inside the package."""

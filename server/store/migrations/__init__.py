"""The catalogue's schema, a numbered step each (Alembic)."""

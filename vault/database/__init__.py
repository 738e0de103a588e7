"""One way to reach SQLite and PostgreSQL: engines, durability, translated errors."""

"""What stands in a store's file, as anybody with SQLite sees and changes it."""

import sqlite3


def query(path, statement):
    """Do what a statement says, and give its rows."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()

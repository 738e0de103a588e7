"""The pages: HTML for people, drawn on the server."""

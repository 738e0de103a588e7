"""Steps of the schema ``catalog``; a step that was released is never edited."""

"""The process that answers people and programs: the API and the dashboard, under one server."""

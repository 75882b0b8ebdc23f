"""The roles as processes: started, watched and stopped."""

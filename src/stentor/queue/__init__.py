"""The hand-off between roles: durable, leased tasks, a lane each."""

"""When each recipient of a campaign gets it: local times, quiet hours, a spread, a share that goes first. Pure."""

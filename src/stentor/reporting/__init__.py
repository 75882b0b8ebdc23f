"""Reports and alarms: how campaigns end and what stands still, told where people talk, and to programs."""

"""Stentor's own database: campaigns, batches and their outcomes. The ground on which the stages stand."""

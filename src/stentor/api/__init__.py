"""The REST API: `/v1`, opened by `stentor serve`. One description of an operation serves its route and the document."""

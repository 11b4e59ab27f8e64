"""The audited search: configuration, coordinator, workers and the driver that ties them together."""

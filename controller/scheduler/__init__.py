"""Who runs next and where: one pure function over a snapshot. See docs/design/scheduler.md."""

"""Every figure, in one style. The only home of matplotlib."""

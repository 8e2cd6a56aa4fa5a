"""Who may do what on the pages, and the trail of what was done."""

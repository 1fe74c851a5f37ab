"""For whoever writes a strategy of their own: the suite that ours pass, and what it is made of. Nothing else imports it."""

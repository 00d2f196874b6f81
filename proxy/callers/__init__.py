"""Who calls: keys, certificates, addresses, and what browsers tell of a page. Both planes ask here. No I/O."""

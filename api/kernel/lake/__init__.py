"""What several services show of the lakehouse: versions as callers write them, and what stands behind one."""

"""What all servers offer, as if they were one."""

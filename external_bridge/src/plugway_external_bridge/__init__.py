"""Plugins in other processes: the client (kind `external`) and the host (`plugway host`)."""

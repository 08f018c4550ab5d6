"""`plugway demo`: the whole gateway on real servers, offline, in half a minute."""

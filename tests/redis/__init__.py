"""Redis: the contract on real servers, faults at the wire, kills, a cluster, Sentinels."""

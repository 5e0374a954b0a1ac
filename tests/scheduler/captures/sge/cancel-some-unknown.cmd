qdel 10.1 99

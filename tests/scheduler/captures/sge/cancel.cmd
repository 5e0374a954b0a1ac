qdel 14 12

qdel 1

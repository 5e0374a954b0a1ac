qdel 10.3

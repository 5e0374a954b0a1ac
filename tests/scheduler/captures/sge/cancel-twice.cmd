qdel 10.1

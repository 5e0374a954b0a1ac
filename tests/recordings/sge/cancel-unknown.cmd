qdel 99

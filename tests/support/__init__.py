"""What tests share: paths, analyses, finished steps, servers that answer like the real ones."""

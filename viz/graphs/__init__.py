"""What a picture shows: boxes and edges of a recorded graph, and their numbers."""

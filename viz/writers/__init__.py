"""Write a scene as SVG, DOT, PNG and PDF, and its graph as JSON and GraphML."""

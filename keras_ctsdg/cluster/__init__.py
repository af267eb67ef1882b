"""Work for many machines, on Ray Data: filled images and scores, as one process has."""

"""What a backend is asked: test data that can see, cases with their arguments, and training programs."""

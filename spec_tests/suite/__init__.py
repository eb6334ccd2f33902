"""The shared suite: what every backend must do, each test run for every backend."""

"""What the PyTorch room alone promises; what every backend must do is tested in spec_tests."""

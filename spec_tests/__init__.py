"""The shared spec: the contract every backend keeps, the suite that checks it, and the study built on both."""

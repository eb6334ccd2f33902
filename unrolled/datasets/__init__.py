"""The bundled data sets, the recorded TensorFlow 1.15.5 results, and the batch stream: readers with NumPy alone."""

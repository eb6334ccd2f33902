"""What a TensorFlow 1 graph (PREFIX.meta) says of the model that was trained, read without TensorFlow.

meta                     nodes, attributes and what the Saver saved
evaluate, operations     the graph computed in NumPy: the judge of every conversion
"""

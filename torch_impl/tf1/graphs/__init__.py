"""What a TensorFlow 1 graph (PREFIX.meta) says of the model that was trained, read without TensorFlow.

attributes, meta                         attributes, nodes and what the Saver saved
evaluate, operations                     the graph computed in NumPy: the judge of every conversion
walk                                     from node to node, by what operations compute
pieces, cells, lstm, gru, normalised,    recurrent cells
  blocks, keras, handmade
layers, written_out, sequences           what is built of them: layers, wrappers, directions
heads, optimizers                        dense layers, embedding, loss; what trained them
weights, parts, comparing, trained,      from a graph to a model, step by step
  infer
judge                                    inputs for a comparison, and the model's side of it
"""

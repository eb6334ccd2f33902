"""TensorFlow 1 checkpoints, read and written without TensorFlow.

protobuf, snappy, crc32c, table     the parts of the format
bundle, variables, writing          a Saver checkpoint (the V2 format): names and arrays, in slices too
locate, state_file                  which checkpoint a path means; the file `checkpoint` beside it
graphs                              what the graph beside it (.meta) says of the model, and the graph computed
slots, named_cells, names           what names and shapes alone tell
sources, inferred, understand       where canonical weights are; what is known of a model; a checkpoint understood
listing, proof                      what is printed; held against what TensorFlow gave
convert, back, native, modules      to a run's checkpoint, to TensorFlow 1 again, and to PyTorch code
command                             the command line
"""

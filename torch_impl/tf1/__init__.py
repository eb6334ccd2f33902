"""TensorFlow 1 checkpoints, read and written without TensorFlow.

protobuf, snappy, crc32c, table   the parts of the format
bundle                            a Saver checkpoint (the V2 format): names and arrays
state_file                        the file `checkpoint` beside it
names                             which of its variables is which canonical weight
convert, command                  to a run's checkpoint and back
"""

"""What the rooms share: the vocabulary, the readers of the data sets, and what the command lines have in common.

    networks, models, programs   what is computed, as plain values: standard library alone
    initial_values               a model's first weights, drawn with NumPy
    datasets                     the bundled data sets and recorded TensorFlow 1.15.5 results; batches
    own_data                     data of one's own, read and checked
    command_line                 the commands that both implementations have
    pytest_plugin                the entry by which pytest finds the suite's options

Everything keeps to Python 3.7 syntax, because it also runs beside genuine TensorFlow 1.15.5.
"""

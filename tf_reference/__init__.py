"""The chapter's recurrent networks as TensorFlow 1 graph code: what the PyTorch port is held to.

One source for TensorFlow 1.15.5 on Python 3.7 and for TensorFlow 2.x, through `tensorflow.compat.v1` and tf-keras. It
is laid out as torch_impl is, file for file:

    tf1.py         the one place that imports TensorFlow
    cells/         a page for each kind of cell, and the table of them
    states.py      a state's parts by name
    structures/    a page for each kind of network that is made of networks; given.py and masks.py are what they share
    build.py       the one place that turns a network's value into a cell
    unrolling.py   static_rnn, dynamic_rnn, a network of any kind, and the gradients
    decoding.py    a network that writes tokens until the end of sequence: greedily, and taught
    models.py      the classifier, the regressor, the tagger and the speller; embedding and dense layers
    losses.py      their losses, and in_top_k
    training.py    AdamOptimizer, and the loop with feed_dict
    graphs.py      construction phase: the graph of each program
    sessions.py    execution phase: a graph and its session
    checks.py      what is wrong with an argument, in a sentence
    adapter.py     NumPy in, NumPy out: the backend of the shared suite; decoding is in adapter_decoding.py

Importing this package imports no TensorFlow; its modules do.
"""

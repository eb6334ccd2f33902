"""What CHAPTER.md says of each program; its code, what it prints and the titles of the differences are looked up."""

from __future__ import annotations

from typing import NamedTuple, Sequence


class Section(NamedTuple):
    """name: of the functions in `tf_reference.chapter` and `torch_impl.chapter`. teaches: two sentences. watch: what to
    watch when porting. differences: numbers in DIFFERENCES.md. show: the program of the command line whose printing is
    shown. also: another function of `torch_impl.chapter`, shown below. printed: (command, what it printed), recorded.
    picture: a file, and what it shows."""

    title: str
    name: str
    teaches: str
    watch: str
    differences: Sequence[int]
    show: str = ""
    also: str = ""
    printed: tuple[str, str] = ("", "")
    picture: tuple[str, str] = ("", "")


# One run of each, float32, PyTorch 2.14.1, 2-core Intel Xeon (AVX-512), shared with other jobs.
MNIST_PRINTED = """\
MNIST: 55000 training and 10000 test images of 28x28, 10 classes; 366 iterations of 150 images per epoch
framework PyTorch, version 2.14.1+cu130, python 3.11.7, device cpu, threads 1
epoch  1/10   train accuracy 0.8933   test accuracy 0.9173   loss 0.5158   19.8 s
epoch  2/10   train accuracy 0.9533   test accuracy 0.9485   loss 0.2375   10.2 s
epoch  3/10   train accuracy 0.9533   test accuracy 0.9504   loss 0.1881   9.9 s
epoch  4/10   train accuracy 0.9733   test accuracy 0.9589   loss 0.1578   10.4 s
epoch  5/10   train accuracy 0.9667   test accuracy 0.9652   loss 0.1334   9.2 s
epoch  6/10   train accuracy 0.9933   test accuracy 0.9668   loss 0.1204   6.7 s
epoch  7/10   train accuracy 0.9667   test accuracy 0.9700   loss 0.1129   5.8 s
epoch  8/10   train accuracy 0.9800   test accuracy 0.9687   loss 0.1051   5.8 s
epoch  9/10   train accuracy 0.9867   test accuracy 0.9720   loss 0.0958   6.0 s
epoch 10/10   train accuracy 0.9800   test accuracy 0.9702   loss 0.0920   6.9 s
"""
SERIES_PRINTED = """\
The series: 1 sequence of 100 steps; 100 units, stacked projection
framework PyTorch, version 2.14.1+cu130, python 3.11.7, device cpu, threads 1
iteration   100   MSE 7.283136
iteration   200   MSE 7.350996
iteration   300   MSE 7.162516
[…]
iteration 10000   MSE 0.000222
after 10000 iterations   MSE 0.000218   predicting the last 100 points   MSE 0.054478
"""

PROGRAMS = [
    Section(
        "Two steps by hand",
        "two_step",
        "A recurrent layer reads a step together with its own output of the step before. Both steps use the same "
        "weights, so that the layer can read any number of them.",
        "TensorFlow keeps Wx and Wy as one kernel [inputs + units, units], PyTorch as two transposed ones.",
        [1],
        show="two-step",
    ),
    Section(
        "Unrolled statically",
        "static",
        "`BasicRNNCell` holds the weights, and `static_rnn` puts one copy of it into the graph for each element of a "
        "list. In PyTorch the loop is Python's own, and the list is as long as the data.",
        "`nn.RNN` trains two biases where TensorFlow has one, and draws other initial values.",
        [2, 3],
        show="static",
    ),
    Section(
        "Unrolled dynamically",
        "dynamic",
        "`dynamic_rnn` runs one cell in a loop of the graph over inputs [batch, steps, inputs]. The outputs are one "
        "array of all steps, and the state is the one after the last.",
        "The batch comes first, as in TensorFlow; `nn.RNN` has the steps first unless told otherwise.",
        [1, 16],
        show="dynamic",
    ),
    Section(
        "Sequences of different lengths",
        "lengths",
        "Shorter sequences are padded to the longest, and `sequence_length` says where each ends. Past it the outputs "
        "are exactly zero, and the state stays the one at the last valid step.",
        "Without lengths a row's final state has read its padding. Lengths out of range, and NaN in the padding, "
        "TensorFlow takes without a word.",
        [5, 6, 7, 8],
        show="lengths",
    ),
    Section(
        "Output of unknown length: an end-of-sequence token",
        "decode",
        "A decoder reads the token that it wrote before, and stops where it writes the end-of-sequence token. Each row "
        "of a batch ends by itself, and what it would write afterwards changes neither its tokens nor its state.",
        "A tie of two logits goes to the lower token, and the end itself counts as a step.",
        [17],
    ),
    Section(
        "Back-propagation through time",
        "bptt",
        "A loss at any step sends its gradient back through every step before it. The weights are the same at every "
        "step, so that their gradients add up; by hand it is a second loop, from the last step to the first.",
        "The sum over steps is what makes gradients vanish or explode; `--clip-norm` and `--truncate` of "
        "`python -m torch_impl train` are for that.",
        [8],
        also="bptt_by_hand",
    ),
    Section(
        "A classifier: MNIST, row by row",
        "mnist",
        "An image is 28 steps of 28 values, and a dense layer on the final state gives ten logits. Training is a "
        "`session.run` with a batch in TensorFlow, and three lines on a batch in PyTorch.",
        "`torch.optim.Adam` puts its epsilon elsewhere, and `in_top_k` counts ties as hits.",
        [4, 10, 11, 12, 13, 14],
        printed=("python -m torch_impl train mnist --epochs 10", MNIST_PRINTED),
        picture=("spec_tests/pictures/learning-curves.svg", "Test accuracy by epoch, ten seeds each"),
    ),
    Section(
        "A regressor: the next value of a series",
        "series",
        "The network reads points x and gives f(x) at every step, by one dense layer over all outputs. Wrapped around "
        "the cell, as TensorFlow's `OutputProjectionWrapper` has it, that layer gives the same but on padded steps.",
        "On padded steps a stacked layer predicts its bias, a wrapped one zero. ReLU over 100 steps is unstable: "
        "from the default seed the error falls to 0.0002, jumps after 4,800 iterations and ends at 1.89; "
        "from seed 2 it ends at 0.0002.",
        [9],
        printed=("python -m torch_impl train series --seed 2", SERIES_PRINTED),
        picture=("spec_tests/pictures/series.png", "f(x), and the network's values at the last 100 points"),
    ),
]
BEYOND = [
    Section(
        "LSTM",
        "lstm",
        "The state has two parts: c, which is carried on through gates, and h, which is the output. The forget gate's "
        "bias of 1 is a constant of TensorFlow's graph and stands in no variable.",
        "`nn.LSTM` has its gates in another order, and knows neither forget bias nor peepholes nor clips.",
        [18, 19],
        show="lstm",
    ),
    Section(
        "GRU",
        "gru",
        "Two gates and one state, which is the output. The reset gate is applied to the state before the candidate's "
        "product.",
        "`nn.GRU` applies it after the product: with the obvious mapping everything runs, and is wrong.",
        [20],
        show="gru",
    ),
    Section(
        "Layers",
        "layers",
        "Each layer reads the outputs of the one below, and each has a state of its own. The outputs are the top "
        "layer's.",
        "In TensorFlow every layer needs a cell of its own: `[cell] * 2` is one cell twice.",
        [21, 22],
        show="layers",
    ),
    Section(
        "Two directions",
        "bidirectional",
        "A second cell reads each sequence from its own last valid step to its first. The outputs lie side by side, "
        "forward first.",
        "The backward cell must not begin in the padding, and its final state is its output at step 0.",
        [5, 21],
        show="bidirectional",
    ),
]

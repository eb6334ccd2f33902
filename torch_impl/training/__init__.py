"""Training on given batches, with Adam as TensorFlow 1 computes it.

adam                         the optimizer
protocol                     what a model must have to be trained
trainer, numpy_trainer       a model, its optimizer and its rows: tensors, or NumPy arrays
whole_steps                  which steps may run whole, without Python in between
host_steps, compiled_steps   those of one cell in compiled code, on the CPU
cuda_graph                   those of any model here as a CUDA graph
"""

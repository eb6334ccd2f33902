"""Training on given batches, with Adam as TensorFlow 1 computes it.

adam                          the optimizer
trainer                       a model, its optimizer and its rows
whole_steps, compiled_steps   whole steps in compiled code, on the CPU
cuda_graph                    whole steps as a CUDA graph
"""

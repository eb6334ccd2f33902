"""Data of one's own, read and checked before any training, as NumPy arrays.

sequences, images, arrays, texts   sequences with labels: a folder, an .npz file, single files
tables, windows, scaling           a series: CSV or Parquet, split by time, cut into windows
prepare                            either as what a program trains on

Every failure is a DataError of one sentence that names the file and the row.
"""

"""Data of one's own, read and checked before any training, as NumPy arrays.

sequences, images, arrays          sequences with labels: a folder, an .npz file, single files
texts, first_lines                 comma-separated values as numbers; whether the first line names the columns
tables, times, windows             a series: CSV or Parquet, its rows in order of time, split by it, cut into windows
scaling, reading                   what is done to values before they are read, and undone in predictions
naive, compared, marks             what a forecast has to beat, and which rows it is not judged by
prepare, series                    either as what a program trains on

Every failure is a DataError of one sentence that names the file and the row.
"""

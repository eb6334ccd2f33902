"""Using what was trained, at the command line's side: it imports all of `unrolled`, for files of the user's own.

    from torch_impl.using.predict import predict_file
    predictions = predict_file(torch_impl.load_run("my-run"), "series.csv", steps=10)

inputs      a file, or a data set, as what a run's model takes
predict     predict_file: classes, words, or how a series goes on
evaluate    accuracy or errors on data that were not trained on, with their uncertainty
exporting   a run as ONNX or torch.export, checked before it is written
pictures    what people would rather look at
command     python -m torch_impl predict, evaluate, export
"""

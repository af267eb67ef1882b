"""What `keras-ctsdg train` reports while it trains."""

from keras_ctsdg import callbacks


def make_reports(out, options, samples, validation):
    """Return the callbacks that show how a training goes along.

    Args:
        out: `pathlib.Path` of the folder of results.
        options: `TrainOptions`.
        samples: Dict of arrays, the batch that grids show.
        validation: `keras_ctsdg.data.InpaintingDataset`, or `None`.

    Raises:
        ValueError: If validations are asked for without a data set for them.
    """
    reports = [
        callbacks.Throughput(options.batch_size),
        callbacks.SampleGrid(out / "samples", samples),
        callbacks.ResumableCSVLogger(out / "history.csv"),
        callbacks.HistoryPlot(out / "history.csv", out / "history.png"),
        callbacks.ProgressLine(),
    ]
    board = None
    if options.tensorboard:
        board = callbacks.TensorBoardLogger(
            out / "tensorboard", samples, options.samples_every
        )
        reports.append(board)
    elif options.samples_every is not None:
        raise ValueError(
            "--samples-every needs --tensorboard. "
            f"Received: --samples-every {options.samples_every}"
        )
    if options.validate_every is not None:
        if validation is None:
            raise ValueError(
                "--validate-every needs --validation-images or --celeba. "
                f"Received: --validate-every {options.validate_every}"
            )
        report = None if board is None else board.add_validation
        reports.append(
            callbacks.MaskRatioValidation(
                validation, options.validate_every, out / "validation.csv", report
            )
        )
    return reports

"""Say what to write here for names that PyTorch and Keras have. Below `modules/module.py`."""

from collections.abc import Iterable

from engine.suggestions import unknown_name

CONTAINERS = {"ModuleList": "a list", "ModuleDict": "a dict", "ParameterList": "a list",
              "ParameterDict": "a dict"}  # fmt: skip

# Names of `torch.nn` and its neighbours.
NAMES = {
    "Parameter": "rnn.parameter(shape, bound) or engine.asarray(x, requires_grad=True)",
    "pack_padded_sequence": "rnn.pack_padded",
    "pad_packed_sequence": "rnn.pad_packed",
    "pad_sequence": "rnn.data.pad_sequences",
    "clip_grad_norm_": "rnn.clip_grad_norm",
    "clip_grad_value_": "rnn.clip_grad_value",
    "CrossEntropyLoss": "engine.cross_entropy",
    "MSELoss": "engine.mse_loss",
    "BCEWithLogitsLoss": "engine.binary_cross_entropy_with_logits",
    "L1Loss": "engine.l1_loss",
    "NLLLoss": "engine.nll_loss",
    "CTCLoss": "engine.ctc_loss",
    "BCELoss": "engine.binary_cross_entropy_with_logits of what goes into the sigmoid",
    "SmoothL1Loss": "engine.huber_loss(x, y, delta=beta) / beta",
    "HuberLoss": "engine.huber_loss",
    "Tanh": "engine.tanh",
    "ReLU": "engine.relu",
    "Sigmoid": "engine.sigmoid",
    "GELU": "engine.gelu",
    "SiLU": "engine.silu",
    "ELU": "engine.elu",
    "LeakyReLU": "engine.leaky_relu",
    "Softplus": "engine.softplus",
    "Softmax": "engine.softmax",
    "LogSoftmax": "engine.log_softmax",
    "functional": "engine, as in engine.softmax(x, axis=-1)",
    "Flatten": "x.reshape((len(x), -1))",
    "Identity": "a function, lambda x: x",
    "Conv1d": "engine.conv1d",
    "Conv2d": "engine.conv2d",
    "RNNCell": "rnn.ElmanCell",
    "init": "rnn.initializers",
    "no_grad": "engine.no_grad",
    "lr_scheduler": "rnn.schedules",
    "DataLoader": "rnn.data.Batches, or give torch's to rnn.fit",
    "Adam": "rnn.optim.Adam",
    "AdamW": "rnn.optim.AdamW",
    "SGD": "rnn.optim.SGD",
    "nn": "rnn, as in rnn.Linear",
    "utils": "rnn.clip_grad_norm, rnn.pack_padded, rnn.data.pad_sequences: they are in rnn itself",
    **dict.fromkeys(
        ("BatchNorm1d", "BatchNormalization"),
        "rnn.LayerNorm, which is over units: none here is over batches",
    ),
    "LayerNormalization": "rnn.LayerNorm(size, eps=1e-3), as eps is 1e-5 by default",
    "MultiheadAttention": "rnn.Attention, of one head",
    **dict.fromkeys(("DataParallel", "DistributedDataParallel"), "distributed= of rnn.fit"),
    # Of Keras.
    "Dense": "rnn.Linear(inputs, units)",
    "SimpleRNN": "rnn.RNN(inputs, units)",
    "TimeDistributed": "the layer itself, which works on the last axis",
    "Masking": "lengths= or mask= where a layer is called, as in rnn.Recurrent(cell)(x, mask=mask)",
    **dict.fromkeys(("Model", "Layer"), "rnn.Module"),
    "optimizers": "rnn.optim",
    "losses": "engine.cross_entropy, engine.mse_loss and so on",
    "callbacks": "rnn.Callback; many callbacks of Keras are arguments of rnn.fit",
    "EarlyStopping": "patience= of rnn.fit",
    "ModelCheckpoint": "checkpoint= of rnn.fit",
    "CSVLogger": 'log="run.csv" of rnn.fit',
    "TensorBoard": "rnn.training.TensorBoard",
    "ReduceLROnPlateau": "rnn.schedules.ReduceLROnPlateau",
    "LearningRateScheduler": "rnn.schedules.LambdaLR",
    "TextVectorization": "rnn.data.Vocabulary",
    "StackedRNNCells": "rnn.Stacked",
    **dict.fromkeys(("SparseCategoricalAccuracy", "CategoricalAccuracy"), "rnn.metrics.Accuracy"),
    **dict.fromkeys(
        ("AUC", "Precision", "Recall", "F1Score", "MeanSquaredError", "Mean"),
        "a class of rnn.metrics.Metric with update, value and reset",
    ),
    "Activation": "a function such as engine.tanh, as a step of rnn.Sequential",
    **dict.fromkeys(("Input", "InputLayer"), "nothing: a layer is given the size of its input"),
    "Concatenate": "engine.concat",
    "Lambda": "the function itself",
    **dict.fromkeys(("Reshape", "Unflatten"), "lambda x: x.reshape(shape)"),
    "load_model": "rnn.interop.import_keras(path)",
    "plot_model": "viz.draw_rolled(model(x))",
    "load_state_dict": "module.load_state_dict(state)",
    "GradientTape": "engine.gradients(loss, xs)",
    **dict.fromkeys(("manual_seed", "seed", "set_random_seed"), "engine.seed(number)"),
    "regularizers": "weight_decay= of an optimiser",
    "mixed_precision": "engine.autocast",
    "pad_sequences": "rnn.data.pad_sequences",
    "Tokenizer": "rnn.data.Vocabulary",
    "to_categorical": "engine.take(engine.eye(n), ids, axis=0)",
    **dict.fromkeys(
        ("Transformer", "TransformerEncoderLayer", "TransformerEncoder"),
        "rnn.Attention, of one head: whole transformers are not here",
    ),
    "Bilinear": "engine.einsum",
    "LambdaCallback": "a function (run, record)",
    "BackupAndRestore": "checkpoint= and resume=True of rnn.fit",
    "TerminateOnNaN": "nothing: rnn.fit stops at the first NaN",
    "constraints": "a callback of rnn.fit",
}

# What others call the data that a loop reads.
DATA = {
    "DataLoader": NAMES["DataLoader"], "timeseries_dataset_from_array": "rnn.data.windows",
    **dict.fromkeys(("TensorDataset", "Dataset"), "rnn.data.ArrayBatches(x, y, batch_size=32)"),
    "pad_sequence": "rnn.data.pad_sequences", "TextVectorization": "rnn.data.Vocabulary",
    "Tokenizer": "rnn.data.Vocabulary", "random_split": "loader.split(share)",
    "collate_fn": "rnn.data.pad_sequences", "IterableDataset": "rnn.data.Generated",
    **dict.fromkeys(("Sampler", "RandomSampler"), "shuffle=True of a loader"),
}  # fmt: skip

# Methods of `torch.nn.Module` and of `keras.Model`.
METHODS = {
    "cuda": 'module.to("cupy")', "cpu": 'module.to("numpy")',
    "float": "module.to(engine.float32)", "double": "module.to(engine.float64)",
    "half": "module.to(engine.float16)", "bfloat16": "module.to(engine.bfloat16)",
    "type": "module.to(dtype)", "add_module": "setattr(module, name, child)",
    "register_module": "setattr(module, name, child)",
    "register_parameter": "setattr(module, name, tensor)",
    "get_submodule": "dict(module.named_modules())[name]",
    "get_parameter": "dict(module.named_parameters())[name]",
    "register_backward_hook": "module.register_full_backward_hook(hook)",
    "register_full_backward_pre_hook": "register_forward_hook with a hook that calls "
    "output.register_hook",
    "compile": "module(x), steps of recurrences are compiled by themselves; what Keras's compile "
    "is told, rnn.fit is told",
    "flatten_parameters": "nothing: weights lie as they are read", "all_weights":
    "module.parameters()", "fit": "rnn.fit(module, data, loss)", "predict":
    "rnn.predict(module, x)", "evaluate": "rnn.evaluate(module, data, loss)", "summary":
    "rnn.summary(module, x)", "count_params": "rnn.summary(module, x).trainable",
    "get_weights": "rnn.interop.to_keras(module)",
    **dict.fromkeys(("set_weights", "load_weights"), "rnn.interop.from_keras(module, weights)"),
    "save": "rnn.save(path, module) or rnn.interop.export_keras(module, path)",
    "save_weights": "rnn.save(path, module)", "get_layer": "dict(module.named_modules())[name]",
    "trainable_weights": "[x for x in module.parameters() if x.requires_grad]",
    **dict.fromkeys(("reset_states", "reset_state"),
                    "module(x): a call that is given no state begins with zeros"),
    "layers": "list(module.children())", "call": "module(x)", "get_buffer":
    "dict(module.named_buffers())[name]", "kernel": "module.weight, of shape (out, in)",
    **dict.fromkeys(("weights", "variables", "trainable_variables"), "module.parameters()"),
    "non_trainable_weights": "[x for x in module.parameters() if not x.requires_grad]",
    "trainable": "module.requires_grad_(False)", "share_memory": "nothing: each process has a copy",
    **dict.fromkeys(("build", "built"), "nothing: sizes are given where a module is made"),
    **dict.fromkeys(("input_shape", "output_shape"), "rnn.summary(module, x)"),
    **dict.fromkeys(("add", "append", "pop"), "rnn.Sequential(*steps) with all of its steps"),
    **dict.fromkeys(("get_config", "to_json", "extra_repr"), "print(module)"),
    **dict.fromkeys(("optimizer", "loss", "metrics", "fit_generator"),
                    "rnn.fit(module, data, loss): it is given optimizer= and metrics="),
    "train_on_batch": "loss.backward(); optimizer.step()",
    "stop_training": "run.stop(reason) in a callback",
    "test_on_batch": "rnn.evaluate(module, [batch], loss)",
    **dict.fromkeys(("predict_on_batch", "predict_classes", "predict_proba"),
                    "rnn.predict(module, x)"),
    "units": "module.hidden_size, or out_features of a rnn.Linear",
}  # fmt: skip

# Of `keras.initializers`.
INITIALIZERS = {
    "GlorotUniform": "rnn.initializers.xavier_uniform",
    "GlorotNormal": "rnn.initializers.xavier_normal",
    "HeNormal": "rnn.initializers.kaiming_normal",
    "HeUniform": "rnn.initializers.kaiming_uniform",
    "RandomUniform": "rnn.initializers.uniform",
    "RandomNormal": "rnn.initializers.normal",
}

# Of `torch.optim.lr_scheduler`.
SCHEDULES = {
    "LRScheduler": "rnn.schedules.Schedule",
    "ChainedScheduler": "rnn.schedules.LambdaLR with the product of the factors",
    "MultiplicativeLR": "rnn.schedules.LambdaLR with the product up to t",
    "CyclicLR": "rnn.schedules.OneCycleLR, or LambdaLR",
    "ExponentialDecay": "rnn.schedules.ExponentialLR",
    "CosineDecay": "rnn.schedules.CosineAnnealingLR",
    "PiecewiseConstantDecay": "rnn.schedules.MultiStepLR",
    "get_linear_schedule_with_warmup": "rnn.schedules.WarmUp",
}

# Of `torch.optim`.
OPTIMISERS = {
    **dict.fromkeys(("NAdam", "RAdam", "Adamax", "Adafactor"), "rnn.optim.Adam or AdamW"),
    **dict.fromkeys(("LBFGS", "Rprop", "ASGD", "Muon"), "rnn.optim.Adam or SGD, or a rule of your "
                    "own: a class of rnn.optim.Optimizer with `rule`, `slots` and `check`"),
    "SparseAdam": "rnn.optim.Adam, as no gradient is sparse", "lr_scheduler": "rnn.schedules",
    "Nadam": "rnn.optim.Adam or AdamW", **dict.fromkeys(("Ftrl", "Lion"), "rnn.optim.AdamW"),
    **dict.fromkeys(("StepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau"),
                    "rnn.schedules, which has it"),
}  # fmt: skip

# Former public names.
RENAMED = {"TeachingCell": "TextbookCell"}


def told(name: str, known: Iterable[str] = ()) -> str:
    """Return what an error of the missing name `rnn.<name>` says besides; nothing for most."""
    if name in CONTAINERS:
        return (
            f": assign {CONTAINERS[name]} to an attribute of your module; modules and parameters "
            "in it are found"
        )
    return unknown_name(name, NAMES, known)

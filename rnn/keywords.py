"""Say what to write for keywords and attributes of the objects of PyTorch and Keras.

Beside `instead.py`, which has the names in modules.
"""

from engine.suggestions import Advice
from rnn.instead import METHODS

# Attributes of the objects of PyTorch and Keras that have a namesake here.
OF_OPTIMISERS = {
    "learning_rate": "optimizer.lr",
    "defaults": "optimizer.param_groups",
    "state": "optimizer.state_dict()",
    "get_config": "optimizer.param_groups",
    "apply_gradients": "loss.backward(); optimizer.step()",
    "minimize": "loss.backward(); optimizer.step()",
    "iterations": "schedule.steps",
}
OF_SCHEDULES = {
    **dict.fromkeys(("get_last_lr", "get_lr"), "schedule.lrs"),
    "last_epoch": "schedule.steps",
}
OF_LOADERS = {
    "dataset": "the arrays that the loader was made of",
    "batch_sampler": "shuffle= of the loader",
}
OF_METRICS = {
    "update_state": "metric.update(*batch)",
    "result": "metric.value()",
    "compute": "metric.value()",
    **dict.fromkeys(("reset_state", "reset_states"), "metric.reset()"),
}
OF_HISTORIES = {
    "history": "history.losses, of each step, and history.validations, each with its metrics",
    "epoch": "history.steps[-1].epoch",
    "loss": "history.losses",
    **dict.fromkeys(("val_loss", "keys", "items"), "[one.metrics for one in history.validations]"),
}

# Keywords that are called otherwise, and keywords for which there is something else.
CALLED = {
    "units": ("hidden_size", "out_features", "embedding_dim"),
    "use_bias": ("bias",),
    "input_dim": ("num_embeddings", "in_features", "input_size"),
    "rate": ("p",),
    "output_dim": ("embedding_dim", "out_features"),
    "learning_rate": ("lr",),
    "epsilon": ("eps",),
    "rho": ("alpha",),
    "verbose": ("progress",),
    "validation_data": ("validation",),
    "val_data": ("validation",),
    "max_epochs": ("epochs",),
    "global_clipnorm": ("clip_norm",),
    "gradient_clip_val": ("clip_norm",),
    "max_grad_norm": ("clip_norm",),
    "criterion": ("loss",),
    "accumulate_grad_batches": ("accumulate",),
    "early_stopping": ("patience",),
    "scheduler": ("schedule",),
    "lr_scheduler": ("schedule",),
    "restore_best_weights": ("restore_best",),
    "validation_freq": ("validate_every",),
    "net": ("model",),
    "sequence_length": ("size",),
    "loss_fn": ("loss",),
    "use_ema": ("ema",),
    "sequence_stride": ("stride",),
}
_OPTIMIZER = "optimizer=rnn.optim.Adam(model.parameters(), lr=0.001)"
_OUTPUTS = "y, state = layer(x): all outputs and the last state are always returned"
_DATA = "data=rnn.data.ArrayBatches(x, y, batch_size=32, shuffle=True)"
_SUMS = "weight= of engine.cross_entropy, in the loss"
_VALUES = "rnn.initialize(module, {pattern: initializer})"
KEYWORDS = {
    "device": 'module.to("cupy")',
    "enforce_sorted": "nothing: lengths come in any order",
    "verbose": "nothing: it prints nothing",
    **dict.fromkeys(
        ("num_workers", "workers", "pin_memory", "prefetch_factor"),
        "nothing: batches are made in this process, when they are asked for",
    ),
    **dict.fromkeys(("batch_size", "shuffle", "x", "y", "validation_batch_size"), _DATA),
    **dict.fromkeys(("learning_rate", "lr", "weight_decay"), _OPTIMIZER),
    **dict.fromkeys(("beta_1", "beta_2", "beta1", "beta2"), "betas=(0.9, 0.999)"),
    "decay": "weight_decay=, or a schedule of rnn.schedules",
    "last_epoch": "schedule.load_state_dict(state)",
    **dict.fromkeys(
        ("clipnorm", "clipvalue", "global_clipnorm"),
        "clip_norm= of rnn.fit, of all gradients together, or rnn.clip_grad_value in a loop",
    ),
    **dict.fromkeys(("return_sequences", "return_state"), _OUTPUTS),
    "stateful": "y, state = layer(x, state), or carry=True of rnn.fit",
    "time_major": "batch_first=True, or nothing: layers are time-major",
    "go_backwards": "rnn.interop.KerasRecurrent(cell, go_backwards=True)",
    "mask_zero": "mask= where a layer is called, as in rnn.Recurrent(cell)(x, mask=mask)",
    **dict.fromkeys(
        ("input_shape", "batch_input_shape", "input_length"),
        "the number of features of the input, as in rnn.Linear(3, 5)",
    ),
    "activation": "the function after the layer: rnn.Sequential(rnn.Linear(3, 5), engine.tanh); "
    "of a recurrence nonlinearity= of rnn.RNN, or a cell of your own",
    "recurrent_activation": "a cell of your own, a class of rnn.Cell",
    "recurrent_dropout": "rnn.Recurrent(rnn.VariationalDropout(cell, states=p))",
    "reset_after": "rnn.Recurrent(rnn.ResetBeforeGRUCell(inputs, units)) for reset_after=False; "
    "rnn.GRU itself resets after the product",
    **dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), _VALUES),
    **dict.fromkeys(
        ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"),
        "weight_decay= of an optimiser",
    ),
    "name": "nothing: a module is called as the attribute that holds it",
    "trainable": "module.requires_grad_(False)",
    "seed": "engine.seed(number) before",
    "steps_per_epoch": "steps=, of the whole run, and validate_every=",
    "initial_epoch": 'checkpoint="folder" and resume=True',
    **dict.fromkeys(("class_weight", "sample_weight"), _SUMS),
    "padding": "nothing: padding stands behind the rows",
    "maxlen": "length=, which refuses longer rows; cut them, row[:n]",
}

MODULES = Advice(METHODS, KEYWORDS, CALLED)
ARGUMENTS = Advice(keywords=KEYWORDS, called=CALLED)
OPTIMISERS = Advice(OF_OPTIMISERS, KEYWORDS, CALLED)
SCHEDULES = Advice(OF_SCHEDULES, KEYWORDS, CALLED)
LOADERS = Advice(OF_LOADERS, KEYWORDS, CALLED)
METRICS, HISTORIES = Advice(OF_METRICS), Advice(OF_HISTORIES)

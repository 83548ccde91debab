"""The search space, search algorithm and scheduler as Ray Tune's objects."""

from typing import Any

from dose.sweep.config import SweepConfig


def tune_space(config: SweepConfig) -> dict[str, Any]:
    from ray import tune

    def axis(values: Any) -> Any:
        if not isinstance(values, dict):
            return tune.grid_search(list(values)) if config.search == "grid" else tune.choice(list(values))
        kind = tune.loguniform if values["log"] else tune.uniform
        return kind(values["low"], values["high"])

    return {name: axis(values) for name, values in config.space.items()}


def searcher(config: SweepConfig) -> Any:
    if config.search == "optuna":
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch(metric=config.select, mode="min", seed=config.seed)
    from ray.tune.search.basic_variant import BasicVariantGenerator

    return BasicVariantGenerator(random_state=config.seed)


def scheduler(config: SweepConfig) -> Any:
    """Counts time in training steps, which a resume does not change, rather than in reports."""
    from ray.tune import schedulers

    every = config.fit.evaluate_every
    if config.scheduler == "asha":
        return schedulers.ASHAScheduler(
            time_attr="step",
            max_t=config.fit.steps,
            grace_period=min(config.grace * every, config.fit.steps),
            reduction_factor=config.reduction,
        )
    if config.scheduler == "pbt":
        return schedulers.PopulationBasedTraining(
            time_attr="step",
            perturbation_interval=config.grace * every,
            hyperparam_mutations={
                name: list(v) if not isinstance(v, dict) else tune_space(config)[name]
                for name, v in config.space.items()
            },
        )
    return schedulers.FIFOScheduler()

"""``genmol sample --toy``: draws of a model density with a certificate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from genmol.cli.sample_common import CHECKPOINT, parsed_budget, prepared, showing
from genmol.cli.sample_config import Config

__all__ = ["sample_toy"]

_STARTS = 64
_RUNS = 16  # that a gradient is timed with


def sample_toy(config: Config) -> int:
    """Sample a toy; returns the exit code."""
    import numpy as np

    from genmol.boltzmann.density_job import sample_density
    from genmol.boltzmann.generator import ScoreGenerator
    from genmol.boltzmann.outputs import write_basins
    from genmol.boltzmann.score_choice import Offer, choose_for_toy
    from genmol.boltzmann.score_files import score_for_toy, shipped_score
    from genmol.boltzmann.score_systems import particles_of_toy
    from genmol.core.files import atomic_path, write_json
    from genmol.core.threads import available_cores
    from genmol.report.density import write_density_report
    from samplers.clusters import Cluster
    from samplers.rng import Streams
    from samplers.run import Budget, Progress
    from samplers.toys import TOYS

    assert config.toy is not None
    assert config.method in ("auto", "hmc", "tempering", "psm")
    toy = TOYS[config.toy]()
    temperature = 1.0 if config.temperature is None else config.temperature
    calls, seconds = parsed_budget(config.budget)
    out = config.out or Path(f"{config.toy}_{temperature:g}")
    method, why, workers = config.method, "", config.workers or available_cores()
    starts = toy.start(Streams.of(seed=config.seed, chains=_STARTS).fold("starts"))
    generator, loaded = None, None
    if method == "psm" or config.model is not None:
        loaded = score_for_toy(config.toy, config.model)
        loaded.check_temperature(temperature)
    elif method == "auto":
        loaded = shipped_score(config.toy, temperature=temperature)
    if loaded is not None:
        assert isinstance(toy, Cluster)
        system = particles_of_toy(toy.space)
        if method == "auto":
            offer = Offer.of(loaded, system, workers=workers)
            taken, why = choose_for_toy(config.toy, toy, starts[:_RUNS], offer, effective=config.n)
            method = "psm" if taken else "auto"
    if loaded is not None and method == "psm":
        generator = ScoreGenerator.piloted(
            loaded.model, system, steps=loaded.steps, seed=config.seed
        )
    folder = prepared(out, resume=config.resume)
    with showing(config.toy) as show:

        def progress(p: Progress) -> None:
            left = p.seconds * (p.total - p.done) / max(p.done, 1) if seconds is None else seconds
            show(f"{p.phase} {p.done}", p.seconds, left)

        found = sample_density(
            toy,
            starts=starts,
            temperature=temperature,
            n=config.n,
            method=method,
            generator=generator,
            budget=Budget(seconds=seconds, calls=calls),
            seed=config.seed,
            workers=workers,
            folder=folder / CHECKPOINT,
            progress=progress,
        )
    certificate = found.certificate
    with atomic_path(folder / "samples.npz") as temporary, temporary.open("wb") as handle:
        chosen = found.delivered
        content: dict[str, Any] = {
            "positions": found.x[chosen].numpy(),
            "energies": found.energies[chosen].numpy(),
            "run": found.run[chosen].numpy(),
        }
        if found.states is not None:
            content["state"] = found.states[chosen].numpy()
        np.savez_compressed(handle, **content)
    states = certificate.observables.states
    write_basins(states, folder / "basins.csv", unit="reduced")
    write_density_report(
        config.toy,
        certificate,
        found.energies,
        found.run,
        found.states,
        tuple(state.name for state in states),
        folder / "report.html",
        weights=found.weights,
        notes={
            "method": found.method,
            **({"chosen": why} if why else {}),
            "ended by": found.stopped,
        },
    )
    write_json(folder / "certificate.json", certificate.to_dict())
    shutil.rmtree(folder / CHECKPOINT)
    print(f"{config.toy} at a temperature of {temperature:g}: {config.n} draws of {len(found.x)}")
    print(f"method      {found.method}")
    if why:
        print(f"chosen      {why}")
    print(
        f"calls       {certificate.energy_calls} energies, {certificate.gradient_calls} gradients "
        f"in {certificate.seconds:.0f} s, all included\n"
    )
    print(certificate.table())
    print(f"files: {out}/")
    return certificate.exit_code

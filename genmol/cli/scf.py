"""``genmol scf``: solve, compare, optimise, or run through a trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from genmol.core.errors import InputError
from genmol.core.files import check_writable, write_json
from genmol.core.threads import set_threads
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from ase import Atoms

    from genmol.qc.attempts import Attempt
    from genmol.scf.certified import Solved

__all__ = ["Config", "run"]


@dataclass(frozen=True)
class Config:
    """Solve a Kohn-Sham or Hartree-Fock problem in about two exact Fock builds, and certify the answer.

    A file with several structures is solved as a trajectory: one JSON line and one extxyz frame each.
    With --mode predict nothing is solved: a trained model gives orbital energies, dipole and charges
    with their intervals, of one structure or of thousands.

    Attributes:
        input: structure file (.xyz, .extxyz, .sdf).
        settings: level of theory, accuracy, checks.
        json: write the report here; for a trajectory, one JSON line per frame.
        plot: write a picture of the convergence and the orbital energies here (.png, .pdf, .svg), or
            with --mode predict of orbitals and charges with their intervals; with --compare, PySCF's
            own convergence from each of its guesses is computed and drawn as well.
        out: write the structure with energy and forces here (.extxyz).
        save_density: write the converged or predicted density here (.npz), for --guess-file.
        compare: run plain PySCF as well and show both.
        repeat: pairs of runs for --compare, in alternating order.
        optimize: relax the geometry with geomeTRIC; writes --out if given.
        max_steps: geometries at most while optimising.
        multiplicity_scan: solve the likely spin states and keep the lowest.
        workers: processes for a trajectory.
        resume: continue an interrupted trajectory.
        threads: threads of a process; by default OMP_NUM_THREADS, or every core. Workers have one each.
    """

    input: Annotated[Path, tyro.conf.Positional]
    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)
    json: Path | None = None
    plot: Path | None = None
    out: Path | None = None
    save_density: Path | None = None
    compare: bool = False
    repeat: int = 1
    optimize: bool = False
    max_steps: int = 100
    multiplicity_scan: bool = False
    workers: int = 1
    resume: bool = False
    threads: int | None = None


def run(config: Config) -> int:
    """Run the command; returns the exit code."""
    if config.threads is not None:
        set_threads(config.threads)
    _check_numbers(config)
    _check_outputs(config)
    from genmol.chem.structures import read_any

    frames = read_any(config.input)
    if len(frames) > 1:
        return _run_trajectory(config, frames)
    _refuse_together(config)
    extra: dict[str, Any] = {}
    atoms = frames[0]
    if config.settings.mode == "predict":
        return _predict(config, atoms)
    if config.optimize:
        atoms, solved = _optimise(config, atoms, extra)
    elif config.multiplicity_scan:
        solved = _scan(config, atoms, extra)
    elif config.compare:
        from genmol.scf.compare import compare

        solved, extra["pyscf"] = compare(
            atoms, config.settings, repeat=config.repeat, on_attempt=_announce
        )
    else:
        from genmol.scf.certified import solve

        solved = solve(atoms, config.settings, on_attempt=_announce)
    return _deliver(config, atoms, solved, extra)


def _check_numbers(config: Config) -> None:
    for name in ("repeat", "max_steps", "workers"):
        if getattr(config, name) < 1:
            raise InputError(
                got=f"--{name.replace('_', '-')} {getattr(config, name)}",
                wanted="at least 1",
                remedy="leave it out to take the default",
            )


def _check_outputs(config: Config) -> None:
    """Every output can be written and is neither the input nor another output."""
    taken = {config.input.resolve()}
    for path in (config.json, config.plot, config.out, config.save_density):
        if path is None:
            continue
        if check_writable(path).resolve() in taken:
            raise InputError(
                got=f"{path} as two of the files to read and write",
                wanted="a file of its own for every output",
                remedy="choose another name",
            )
        taken.add(path.resolve())


def _announce(attempt: Attempt) -> None:
    """Say on stderr that an attempt failed; a success speaks for itself."""
    if not attempt.converged:
        from genmol.cli.console import console

        console().print(f"{attempt.strategy}: {attempt.reason}")


def _refuse_together(config: Config) -> None:
    chosen = [n for n in ("compare", "optimize", "multiplicity_scan") if getattr(config, n)]
    if config.settings.mode == "predict":
        chosen = ["mode predict", *chosen] if chosen else []
    if len(chosen) > 1:
        flags = " and ".join("--" + name.replace("_", "-") for name in chosen)
        raise InputError(
            got=f"{flags} together",
            wanted="one of them at a time",
            remedy="run them one after the other",
        )


def _run_trajectory(config: Config, frames: list[Atoms]) -> int:
    single = ("compare", "optimize", "multiplicity_scan", "plot", "save_density")
    chosen = ["--" + name.replace("_", "-") for name in single if getattr(config, name)]
    if chosen:
        raise InputError(
            got=f"{config.input} with {len(frames)} structures, and {', '.join(chosen)}",
            wanted="a file with one structure for these options",
            remedy="write the frame you mean into a file of its own",
        )
    from genmol.cli.console import track
    from genmol.scf.trajectory import delivered, solve_trajectory

    stem = config.input.with_suffix("").name
    out = config.out or Path(f"{stem}.scf.extxyz")
    lines = config.json or Path(f"{stem}.scf.jsonl")
    reports = solve_trajectory(
        frames,
        config.settings,
        out=out,
        json_lines=lines,
        workers=config.workers,
        resume=config.resume,
    )
    failed = exact = doubtful = 0
    for report in track(reports, "frames", total=len(frames)):
        failed += not delivered(report)
        exact += report["exact_fock_builds"]
        doubtful += bool(report.get("predicted")) and report["certificate"]["verdict"] == "fail"
    if config.settings.mode == "predict":
        print(f"{len(frames)} frames predicted, {doubtful} of them doubtful, {failed} failed")
        print(f"frames: {out}   predictions: {lines}")
    else:
        print(f"{len(frames)} frames, {exact} exact Fock builds, {failed} failed")
        print(f"energies: {out}   reports: {lines}")
    return 3 if failed or doubtful else 0


def _predict(config: Config, atoms: Atoms) -> int:
    from genmol.scf.prediction import predict
    from genmol.scf.present import prediction_text

    mf, prediction = predict(atoms, config.settings)
    result = prediction.to_dict()
    if config.json is not None:
        write_json(config.json, result)
    if config.out is not None:
        from genmol.core.structure import write_extxyz
        from genmol.scf.trajectory import predicted_frame

        write_extxyz(config.out, [predicted_frame(atoms, result | {"frame": 0})])
    if config.save_density is not None:
        from genmol.qc.guess import save_density

        save_density(config.save_density, mf)
    if config.plot is not None:
        from genmol.plots.prediction import save_prediction

        save_prediction(config.plot, result, atoms.get_chemical_symbols())
    print(prediction_text(prediction))
    return prediction.certificate.exit_code


def _optimise(config: Config, atoms: Atoms, extra: dict[str, Any]) -> tuple[Atoms, Solved]:
    from genmol.cli.console import console
    from genmol.scf.optimize import optimize

    screen = console()

    def show(step: int, solved: Solved) -> None:
        report = solved.report
        screen.print(
            f"step {step}: E = {report.energy_hartree:.8f} Hartree, "
            f"{report.exact_fock_builds} exact Fock builds"
        )

    relaxed, solved, extra["steps"] = optimize(
        atoms, config.settings, max_steps=config.max_steps, on_step=show
    )
    extra["positions_angstrom"] = relaxed.positions.tolist()
    return relaxed, solved


def _scan(config: Config, atoms: Atoms, extra: dict[str, Any]) -> Solved:
    from genmol.scf.multiplicity import multiplicity_scan

    solved, table = multiplicity_scan(atoms, config.settings)
    extra["multiplicities"] = table
    for row in table:
        energy = row["energy_hartree"]
        shown = "not converged" if energy is None else f"{energy:.8f} Hartree"
        print(f"multiplicity {row['multiplicity']}: {shown}")
    return solved


def _deliver(config: Config, atoms: Atoms, solved: Solved, extra: dict[str, Any]) -> int:
    """Write what was asked for, then print: a reader that leaves early costs no file."""
    from genmol.scf.present import text

    mf, report = solved
    result = report.to_dict() | extra
    if config.json is not None:
        write_json(config.json, result)
    if report.certificate is not None:
        if config.out is not None:
            from genmol.core.structure import write_extxyz
            from genmol.scf.trajectory import labelled_frame

            write_extxyz(config.out, [labelled_frame(atoms, result | {"frame": 0})])
        if config.save_density is not None:
            from genmol.qc.guess import save_density

            save_density(config.save_density, mf)
        if config.plot is not None:
            _plot(config.plot, mf, result, every_guess=config.compare)
    print(text(report, extra))
    return 3 if report.certificate is None else report.certificate.exit_code


def _plot(path: Path, mf: Any, result: dict[str, Any], *, every_guess: bool) -> None:
    from genmol.plots.scf import save_convergence
    from genmol.scf.picture import baseline_histories, orbital_levels

    result = result | {"orbitals": orbital_levels(mf)}
    if every_guess:
        result["baselines"] = baseline_histories(mf)
    save_convergence(path, result)

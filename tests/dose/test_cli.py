"""The `dose` command: light to start, lists all commands, returns the documented exit codes."""

import argparse
import json
import pkgutil
import subprocess
import sys
import types

import pytest

import dose.commands
from dose import cli, compute
from dose.errors import DoseError


def _fake_command(monkeypatch, run):
    def register(subparsers):
        subparsers.add_parser("fake").set_defaults(run=run)

    module = types.ModuleType("dose.commands.fake")
    module.register = register  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dose.commands.fake", module)
    monkeypatch.setattr(cli, "COMMANDS", ("fake",))


def test_help_imports_nothing_heavy():
    heavy = ["torch", "numpy", "mlflow", "ray", "soundfile", "pandas", "scipy"]
    script = (
        "import sys; from dose import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"sys.stderr.write(','.join(m for m in {heavy} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "extract" in done.stdout
    assert done.stderr == ""


def test_every_command_module_is_listed():
    found = {module.name for module in pkgutil.iter_modules(dose.commands.__path__)}
    found = {name for name in found if not name.startswith("_")}  # parts of a command
    assert set(cli.COMMANDS) == found
    assert len(cli.COMMANDS) == len(found)


def test_every_command_has_help_with_an_example(capsys):
    """Also of the commands under commands, without running any."""

    def walk(parser):
        for action in parser._actions:
            for name, child in (action.choices or {}).items() if hasattr(action, "add_parser") else ():
                yield name, child
                yield from walk(child)

    commands = dict(walk(cli.build_parser()))
    assert {"extract", "bundle", "show"} <= commands.keys()
    missing = [name for name, p in commands.items() if name != "bench" and "dose " not in (p.epilog or "")]
    assert missing == []


def test_a_user_error_is_one_sentence_and_exit_1(monkeypatch, capsys):
    def run(args):
        raise DoseError("song.wav is silent.")

    _fake_command(monkeypatch, run)
    assert cli.main(["fake"]) == 1
    assert capsys.readouterr().err == "dose: song.wav is silent.\n"


def test_a_bug_is_not_hidden(monkeypatch):
    def run(args):
        raise ZeroDivisionError

    _fake_command(monkeypatch, run)
    with pytest.raises(ZeroDivisionError):
        cli.main(["fake"])


def test_a_package_of_an_extra_that_is_not_installed_is_named(monkeypatch, capsys):
    def run(args):
        import package_of_no_index  # noqa: F401

    _fake_command(monkeypatch, run)
    assert cli.main(["fake"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("dose: This needs the package 'package_of_no_index', which is not installed;")
    assert err.endswith("pip install 'dose[lab]'.\n")


def test_a_missing_module_of_this_project_is_a_bug(monkeypatch):
    def run(args):
        import dose.nonsense  # noqa: F401

    _fake_command(monkeypatch, run)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["fake"])


def test_interrupt_is_130_and_a_command_chooses_its_own_code(monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    _fake_command(monkeypatch, interrupted)
    assert cli.main(["fake"]) == 130
    _fake_command(monkeypatch, lambda args: 3)
    assert cli.main(["fake"]) == 3
    _fake_command(monkeypatch, lambda args: None)
    assert cli.main(["fake"]) == 0


def test_bench_prints_the_figures_as_its_last_line(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "tiny_benchmarks"
    folder.mkdir()
    (folder / "tiny.py").write_text(
        "'''A tiny one.'''\n"
        "def add_arguments(parser): parser.add_argument('--n', type=int, default=2)\n"
        "def run(args):\n    print('a table')\n    return {'n': args.n}\n"
    )
    monkeypatch.setattr(cli, "BENCHMARKS", folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert cli.main(["bench", "tiny", "--n", "5"]) == 0
    on, table, figures = capsys.readouterr().out.splitlines()
    assert table == "a table"
    assert json.loads(figures) == {"on": on.removeprefix("on "), "n": 5}
    assert compute.instructions() in on


def test_bench_names_the_available_benchmarks(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "BENCHMARKS", tmp_path)
    (tmp_path / "codec.py").write_text("")
    with pytest.raises(SystemExit) as wrong:
        cli.main(["bench", "nonsense"])
    assert wrong.value.code == 2
    assert "codec" in capsys.readouterr().err


def test_bench_codec_accepts_the_old_name_of_its_library_option():
    from benchmarks import codec

    parser = argparse.ArgumentParser()
    codec.add_arguments(parser)
    for option in ("--library", "--catalogue"):
        assert str(parser.parse_args([option, "data/sources"]).library) == "data/sources"

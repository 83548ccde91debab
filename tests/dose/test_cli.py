"""The `dose` command: light to start, lists all commands, returns the documented exit codes."""

import argparse
import json
import pkgutil
import subprocess
import sys
import types

import pytest

import dose
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


def test_the_version_is_printed_by_the_command_and_the_module(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["--version"])
    assert done.value.code == 0
    told = capsys.readouterr().out
    assert told == f"dose {dose.__version__}\n"
    module = subprocess.run(
        [sys.executable, "-m", "dose", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == told


def test_help_lists_the_exit_codes_that_main_gives(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    codes = capsys.readouterr().out.partition("exit codes:")[2]
    listed = [line.split()[0] for line in codes.splitlines() if line.strip()]
    assert listed == ["0", "1", "2", "130", "141"]


def test_an_unknown_option_is_2(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["info", "--nonsense"])
    assert done.value.code == 2
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def _completed(script: str, *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_dose"
    line += "; printf '%s\\n' \"${COMPREPLY[@]}\""
    bash = ["bash", "-c", f"complete() {{ :; }}; compopt() {{ :; }}\n{script}\n{line}"]
    return subprocess.run(bash, capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_commands_options_and_files(capsys, tmp_path, monkeypatch):
    with pytest.raises(SystemExit):
        cli.main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    assert _completed(script, "dose", "ext") == ["extract"]
    assert "--candidates" in _completed(script, "dose", "extract", "--ca")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.wav").write_text("")
    assert _completed(script, "dose", "extract", "lo") == ["loop.wav"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script_with_every_command(shell, capsys):
    with pytest.raises(SystemExit):
        cli.main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert all(name in script for name in ("extract", "demo", "promote"))


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


def test_a_package_that_pip_cannot_install_beside_the_others_names_make_install(monkeypatch, capsys):
    def run(args):
        raise ModuleNotFoundError(name="encodec")

    _fake_command(monkeypatch, run)
    assert cli.main(["fake"]) == 1
    assert "run `make install` in the repository" in capsys.readouterr().err


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

"""`encodings` shares its name with a standard-library package; these tests keep the layout that works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def python(*arguments: str, cwd: Path, pythonpath: str = "") -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter of this environment; stdout and stderr are captured."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if pythonpath:
        environment["PYTHONPATH"] = pythonpath
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_encodings_is_reached_through_the_symlink() -> None:
    link = ROOT / "xplain" / "encodings"
    assert link.is_symlink(), "xplain/encodings must be a symlink (git config core.symlinks true)"
    assert os.readlink(link) == os.path.join("..", "encodings")


def test_encodings_folder_has_no_init() -> None:
    assert not (ROOT / "encodings" / "__init__.py").exists()


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "encodings").iterdir() if p.is_dir()))
def test_every_subfolder_of_encodings_is_a_regular_package(folder: str) -> None:
    if folder != "__pycache__":
        assert (ROOT / "encodings" / folder / "__init__.py").is_file()


def test_python_starts_with_the_repository_on_its_path() -> None:
    done = python("-c", "pass", cwd=ROOT, pythonpath=".")
    assert done.returncode == 0, done.stderr


def test_the_installed_package_imports_from_anywhere(tmp_path: Path) -> None:
    code = "import encodings.utf_8, xplain.encodings.exact as e; print(e.__name__)"
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.strip() == "xplain.encodings.exact", done.stderr


def test_import_xplain_does_not_import_torch(tmp_path: Path) -> None:
    code = "import sys, xplain, xplain.encodings.exact; print('torch' in sys.modules)"
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.strip() == "False", done.stderr


def test_the_wheel_holds_the_encodings_under_xplain(tmp_path: Path) -> None:
    # Built from a copy: setuptools leaves build/ beside the sources and would reuse stale files from it.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("drex_runtime", "xplain", "encodings"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=skip)
    wheels, unpacked = tmp_path / "wheels", tmp_path / "unpacked"
    arguments = ["-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = python(*arguments, "--wheel-dir", str(wheels), str(source), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("drex_xplain-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(unpacked)
    assert {"xplain/encodings/exact/__init__.py", "xplain/py.typed", "drex_runtime/py.typed"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"drex_runtime", "xplain"}
    shipped = (p for p in (ROOT / "drex_runtime" / "data").rglob("*") if p.is_file() and p.suffix != ".pyc")
    data = {p.relative_to(ROOT).as_posix() for p in shipped}
    assert data <= names

    code = "import xplain.encodings.exact as e; print(e.__file__)"
    done = python("-c", code, cwd=tmp_path, pythonpath=str(unpacked))
    assert done.stdout.startswith(str(unpacked)), done.stdout + done.stderr

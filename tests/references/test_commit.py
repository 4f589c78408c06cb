"""Which commit a reference is of, whoever knows it."""

import pytest
from repository import Repository

from xai_bench.errors import RunError
from xai_bench.references import commit
from xai_bench.references.commit import current
from xai_bench.references.git import git

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    for name in commit.SERVERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "code")
    (made.folder / "model.py").write_text("1")
    (made.folder / "reference.json").write_text("{}")
    made.commit()
    return made


def test_the_working_tree_says_its_commit(repository, monkeypatch):
    head = repository.git("rev-parse", "HEAD")
    monkeypatch.chdir(repository.folder)

    assert current() == current(repository.folder) == head


def test_what_is_not_committed_is_said(repository):
    head = repository.git("rev-parse", "HEAD")
    (repository.folder / "notes.txt").write_text("git does not know of it")
    assert current(repository.folder) == head

    (repository.folder / "model.py").write_text("2")
    assert current(repository.folder) == f"{head}+changes"


def test_the_reference_itself_is_no_change(repository):
    """Renewed twice before a commit, it would else call the code changed."""
    head, reference = repository.git("rev-parse", "HEAD"), repository.folder / "reference.json"
    reference.write_text("{1}")

    assert current(repository.folder, besides=reference) == head
    (repository.folder / "model.py").write_text("2")
    assert current(repository.folder, besides=reference) == f"{head}+changes"


@pytest.mark.parametrize("name", commit.SERVERS)
def test_a_server_knows_better(repository, monkeypatch, name):
    monkeypatch.setenv(name, SHA)

    assert current(repository.folder) == SHA


def test_a_server_that_says_no_commit_is_not_believed(repository, monkeypatch):
    monkeypatch.setenv("GITHUB_SHA", "$(main)")

    assert current(repository.folder) == repository.git("rev-parse", "HEAD")


def test_nobody_knows(tmp_path, monkeypatch):
    assert current(tmp_path) == ""  # no repository
    assert current(tmp_path / "nowhere") == ""
    Repository(tmp_path / "empty")
    assert current(tmp_path / "empty") == ""  # no commit
    monkeypatch.setenv("PATH", "")
    assert current(tmp_path) == ""  # no git


def test_a_git_that_hangs_is_left_alone(tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(commit, "PATIENCE", 0.2)

    assert current(tmp_path) == ""
    with pytest.raises(RunError, match=r"git gave no answer within 0.2 seconds \(git log in"):
        git(tmp_path, "log", patience=0.2)

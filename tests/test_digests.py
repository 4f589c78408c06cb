"""Hashes are remembered as long as a file is the same, and never get in the way."""

import hashlib
import os

import pytest
import torch
from safetensors.torch import save_model

import xai_bench as xb
from xai_bench.digests import cache_file, file_digest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XAI_BENCH_CACHE", str(tmp_path / "cache"))


def sha(content):
    return hashlib.sha256(content).hexdigest()


def forbid(monkeypatch, name):
    def computed(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(name, computed)


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")

    assert file_digest(path) == sha(b"one")
    forbid(monkeypatch, "xai_bench.digests._hashed")
    assert file_digest(path) == sha(b"one")


def test_another_content_of_the_same_size_is_read_again(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    file_digest(path)
    changed = path.stat().st_mtime_ns
    path.write_bytes(b"two")
    os.utime(path, ns=(changed + 1, changed + 1))

    assert file_digest(path) == sha(b"two")


@pytest.mark.parametrize("garbage", [b"not a database at all, but long enough to be looked at" * 40, b""])
def test_a_cache_of_garbage_is_not_used(tmp_path, garbage):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    cache_file().parent.mkdir()
    cache_file().write_bytes(garbage)

    assert file_digest(path) == sha(b"one") == file_digest(path)


def test_a_cache_that_cannot_be_written_is_not_used(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    monkeypatch.setenv("XAI_BENCH_CACHE", str(path))  # a file, where a folder is needed

    assert file_digest(path) == sha(b"one")


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    model = xb.load_model("timm:test_resnet", pretrained=False, num_classes=3)
    path = tmp_path / "w.safetensors"
    save_model(model.module, str(path))
    return path, model.fingerprint


def load(path):
    return xb.load_model("timm:test_resnet", checkpoint=path, num_classes=3, device="cpu")


def test_the_fingerprint_of_a_checkpoint_is_the_same_and_remembered(checkpoint, monkeypatch):
    path, expected = checkpoint

    assert load(path).fingerprint == expected
    forbid(monkeypatch, "xai_bench.adapters.model.VisionModel._fingerprint")
    assert load(path).fingerprint == expected


@pytest.mark.parametrize("through_data", [False, True])
def test_weights_altered_after_loading_have_another_fingerprint(checkpoint, through_data):
    path, expected = checkpoint
    assert load(path).fingerprint == expected
    model = load(path)
    weight = next(model.module.parameters())
    with torch.no_grad():
        (weight.data if through_data else weight).add_(1)

    assert model.fingerprint != expected
    assert load(path).fingerprint == expected


def test_other_colours_have_another_fingerprint(checkpoint):
    path, expected = checkpoint
    assert load(path).fingerprint == expected

    assert (
        xb.load_model("timm:test_resnet", checkpoint=path, num_classes=3, mean=(0.4, 0.5, 0.6)).fingerprint != expected
    )

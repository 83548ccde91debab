"""`dose bench transcription` with a tiny network; its figures are those of the work it times."""

import json

import pytest
import tiny_library
import torch

from benchmarks import transcription
from dose.cli import main as dose
from dose.transcription import network
from dose.transcription.network import NetworkConfig, TranscriptionNetwork


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    net = TranscriptionNetwork(NetworkConfig(channels=(2, 2, 2, 2), features=4, hidden=2, layers=1))
    with torch.no_grad():  # untrained, but sure: some frames are hits
        net.out.weight *= 40
        net.out.bias.zero_()
    network.save(net, tmp_path / "weights", {})
    return tmp_path / "weights"


def test_speed_and_memory_of_songs(tmp_path, weights, monkeypatch, capsys):
    tiny_library.make(tmp_path / "sources", splits=("test",), checked=True)
    monkeypatch.setattr(transcription, "MIX_SECONDS", 5)
    used = []
    whole = transcription.transcribe_blocks

    def counted(net, blocks, seconds):
        blocks = list(blocks)
        used.append((sum(block.shape[1] for block in blocks) / 44100, torch.get_num_threads()))
        return whole(net, iter(blocks[:2]), seconds)

    monkeypatch.setattr(transcription, "transcribe_blocks", counted)
    command = ["--weights", str(weights), "--sources", str(tmp_path / "sources")]
    assert not dose(["bench", "transcription", *command, "--repeats", "2", "--minutes", "1", "2"])
    printed = capsys.readouterr().out
    got = json.loads(printed.splitlines()[-1])
    assert "CPU" in printed
    assert got["device"] == "cpu"
    assert used == [(180.0, 1)] * 2 + [(180.0, 2)] * 2
    for threads in (1, 2):
        assert got[f"times_real_time_{threads}_threads"] == pytest.approx(
            180 / got[f"seconds_{threads}_threads"], rel=0.05
        )
    # In processes of their own, with the real function.
    assert 50 < got["peak_mb_1_min"] < 2000
    assert got["growth_mb"] == pytest.approx(got["peak_mb_2_min"] - got["peak_mb_1_min"], abs=0.2)


def test_a_song_in_blocks_has_the_hits_of_the_whole(tmp_path, weights):
    from dose.transcription.transcribe import transcribe

    library = tiny_library.make(tmp_path / "sources", splits=("test",))
    blocks = transcription.song_blocks(library, 1)
    assert blocks[0].shape == (1, 20 * 44100)
    net = network.load(weights)
    parts = [blocks[0][:, start : start + 100_000] for start in range(0, blocks[0].shape[1], 100_000)]
    hits = len(transcribe(blocks[0][0], net).hits)
    assert hits > 10
    assert transcription.transcribe_blocks(net, iter(parts), 20.0) == hits

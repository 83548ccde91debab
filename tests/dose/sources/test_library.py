import pickle
import shutil

import numpy as np
import pytest

from dose import audio
from dose.drums import DRUMS, SPLITS
from dose.errors import IntegrityError, MissingInputError
from dose.sources.library import CLASSES, SampleLibrary, quantise, sound_id


@pytest.fixture
def copy(root, tmp_path):
    return shutil.copytree(root, tmp_path / "sources")


def test_every_class_has_clips_in_every_split(root):
    library = SampleLibrary.load(root)
    for cls in CLASSES:
        for split in SPLITS:
            clips = library.select(cls, split)
            assert clips
            assert all((c.cls, c.split) == (cls, split) for c in clips)
    assert sum(len(library.select(c, s)) for c in CLASSES for s in SPLITS) == len(library.clips)


def test_an_id_is_the_hash_of_the_sound(root):
    library = SampleLibrary.load(root)
    for clip in library.clips[::10]:
        sound = library.audio(clip.id)
        assert (sound.dtype, sound.ndim) == (np.float32, 1)
        assert sound_id(quantise(sound)) == clip.id == sound_id(quantise(audio.read(root / clip.file)))
        assert clip.seconds == pytest.approx(len(sound) / 44100, abs=1e-6)


def test_one_shots_start_at_once_and_last_a_second_at_most(root):
    library = SampleLibrary.load(root)
    for clip in (c for c in library.clips if c.cls in DRUMS):
        sound = library.audio(clip.id)
        assert len(sound) <= 44100
        assert audio.lead_in(sound) <= 44
        assert 0.97 < audio.peak(sound) <= 1
        assert abs(sound[-1]) < 0.01


def test_a_slice_is_a_part_of_the_whole_and_its_own(root):
    library = SampleLibrary.load(root)
    clip = library.select("bass", "train")[0].id
    part = library.audio(clip, 1000, 3000)
    assert np.array_equal(part, library.audio(clip)[1000:3000])
    part[:] = 0
    assert library.audio(clip, 1000, 3000).any()


def test_a_pickled_library_reads_again_and_is_small(root):
    library = SampleLibrary.load(root)
    before = library.audio(library.clips[0].id)
    packed = pickle.dumps(library)
    assert len(packed) < 1_000_000
    assert np.array_equal(pickle.loads(packed).audio(library.clips[0].id), before)


def test_a_changed_clip_is_found_on_load_and_on_use(copy):
    library = SampleLibrary.load(copy)
    victim, other = library.clips[0], library.clips[1]
    shutil.copy(copy / other.file, copy / victim.file)
    with pytest.raises(IntegrityError, match=victim.id):
        SampleLibrary.load(copy)
    with pytest.raises(IntegrityError, match=victim.id):
        SampleLibrary.load(copy, check=False).audio(victim.id)


def test_a_clip_that_has_gone_is_named(copy):
    library = SampleLibrary.load(copy)
    (copy / library.clips[0].file).unlink()
    with pytest.raises(MissingInputError, match=library.clips[0].id):
        library.audio(library.clips[0].id)
    with pytest.raises(MissingInputError, match="0123456789abcdef"):
        library.audio("0123456789abcdef")


def test_a_folder_without_an_index_names_the_command_to_run(tmp_path):
    with pytest.raises(MissingInputError, match="dvc repro sources"):
        SampleLibrary.load(tmp_path)


def test_a_parquet_of_something_else_is_refused(copy):
    (copy / "catalogue.parquet").write_bytes(b"PAR1nonsense")
    with pytest.raises(IntegrityError, match=r"catalogue\.parquet"):
        SampleLibrary.load(copy)


def test_an_unknown_class_is_a_bug(root):
    with pytest.raises(ValueError):
        SampleLibrary.load(root).select("cowbell", "train")


def test_memory_is_bounded_and_the_sounds_are_the_same(root, monkeypatch):
    whole, narrow = SampleLibrary.load(root), SampleLibrary.load(root, cache_mb=0.3)
    for clip in (*whole.clips[:12], *whole.clips[:12]):
        assert np.array_equal(whole.audio(clip.id), narrow.audio(clip.id))
        assert sum(s.nbytes for s in narrow._sounds.values()) <= 300_000
    last = narrow.clips[11].id
    monkeypatch.setattr(audio, "read", None)  # the latest is still there
    assert narrow.audio(last).any()
    with pytest.raises(TypeError):
        narrow.audio(narrow.clips[0].id)


def test_a_library_without_cache_still_reads(root):
    library = SampleLibrary.load(root, cache_mb=0)
    assert library.audio(library.clips[0].id).any()
    assert not library._sounds

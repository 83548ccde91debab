"""The groove in the service's responses: JSON, MIDI in every ZIP and of a job, restarts, the client."""

import dataclasses
import io
import json
import time
import zipfile

import groove
import jsonschema
import miditoolkit
import numpy as np
import pytest
from fake_extractor import FakeExtractor

from dose.client import Client
from dose.errors import DoseError
from dose.transcription import midi
from dose.transcription.hits import HIT_CLASSES, Transcription
from dose.transcription.pattern import groove_facts, typical_bar
from serving.groove_schemas import GrooveResponse
from serving.jobs import kit_store
from serving.settings import state_folder

SONG = groove.transcription()
UNSTEADY = dataclasses.replace(SONG, rhythm=None)
EMPTY = Transcription(hits=(), seconds=1.0, rhythm=None)


def finished(client, loop, query="") -> str:
    job = client.post(f"/jobs{query}", content=loop).json()["id"]
    while (state := client.get(f"/jobs/{job}").json()["state"]) != "done":
        assert state in ("queued", "running")
        time.sleep(0.02)
    return job


@pytest.mark.parametrize("transcription", [None, EMPTY, UNSTEADY, SONG])
def test_a_kit_tells_its_groove_as_the_document_says(served, loop, transcription):
    with served(FakeExtractor(transcription=transcription)) as client:
        document = client.get("/openapi.json").json()
        short = client.post("/extract?response=json", content=loop).json()
        song = client.get(f"/jobs/{finished(client, loop)}/kit?response=json").json()
    assert short["groove"] == song["groove"] == groove_facts(transcription)
    schema = {"$ref": "#/components/schemas/KitResponse", "components": document["components"]}
    jsonschema.validate(short, schema)
    described = document["components"]["schemas"]["GrooveResponse"]["properties"]
    assert set(described) == set(groove_facts(SONG))
    assert all(facts["description"] for facts in described.values())


def test_the_schema_has_every_class_and_refuses_others():
    facts = groove_facts(SONG)
    assert set(GrooveResponse(**facts).pattern.velocities) == set(HIT_CLASSES)
    with pytest.raises(ValueError, match="cowbell"):
        GrooveResponse(**{**facts, "hits": [{**facts["hits"][0], "drum": "cowbell"}]})


@pytest.mark.parametrize(
    ("query", "others"),
    [("", set()), ("&format=sfz", {"Mine.sfz"}), ("&format=ableton", {"Mine.adg", "Mine-bar.mid"})],
)
def test_every_zip_has_the_midi_files(served, loop, query, others):
    with served(FakeExtractor(transcription=SONG)) as client:
        short = client.post(f"/extract?name=Mine{query}", content=loop)
        song = client.get(f"/jobs/{finished(client, loop)}/kit?name=Mine{query}")
    assert short.content == song.content
    assert short.headers["X-Dose-Tempo"] == "92.00"
    archive = zipfile.ZipFile(io.BytesIO(short.content))
    wavs = {f"{drum}.wav" for drum in ("kick", "snare", "hihat")}
    assert set(archive.namelist()) == wavs | {"Mine.mid", "Mine-quantised.mid"} | others
    assert archive.read("Mine.mid") == midi.played(SONG)


def test_a_zip_without_a_groove_is_as_before(served, loop):
    with served() as client:
        answer = client.post("/extract", content=loop)
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["kick.wav", "snare.wav", "hihat.wav"]
    assert "X-Dose-Tempo" not in answer.headers


def test_a_job_gives_its_midi_as_played_quantised_and_as_one_bar(served, loop):
    expected = {
        "": ("groove.mid", midi.played(SONG)),
        "?timing=played": ("groove.mid", midi.played(SONG)),
        "?timing=quantised": ("groove-quantised.mid", midi.quantised(SONG)),
        "?timing=bar": ("groove-bar.mid", midi.bar(typical_bar(SONG))),
    }
    with served(FakeExtractor(transcription=SONG)) as client:
        job = finished(client, loop, "?drums=kick")
        for query, (name, body) in expected.items():
            answer = client.get(f"/jobs/{job}/midi{query}")
            assert answer.content == body
            assert answer.headers["content-type"] == "audio/midi"
            assert name in answer.headers["content-disposition"]
            assert client.head(f"/jobs/{job}/midi{query}").status_code == 200
        wrong = client.get(f"/jobs/{job}/midi?timing=swung")
        missing = client.get("/jobs/none/midi")
    notes = miditoolkit.MidiFile(file=io.BytesIO(expected[""][1])).instruments[0].notes
    assert len(notes) == len(SONG.hits), "all drums, also those that were not extracted"
    assert (wrong.status_code, missing.status_code) == (400, 404)
    assert "timing" in wrong.json()["error"]


@pytest.mark.parametrize(
    ("transcription", "query", "status", "word"),
    [
        (None, "", 404, "no transcription"),
        (EMPTY, "", 404, "No drum hits"),
        (UNSTEADY, "?timing=quantised", 400, "timing=played"),
        (UNSTEADY, "?timing=bar", 400, "timing=played"),
    ],
)
def test_midi_that_cannot_be_made_gets_one_sentence(served, loop, transcription, query, status, word):
    with served(FakeExtractor(transcription=transcription)) as client:
        answer = client.get(f"/jobs/{finished(client, loop)}/midi{query}")
    assert answer.status_code == status
    assert word in answer.json()["error"]


@pytest.mark.parametrize("transcription", [None, EMPTY, UNSTEADY, SONG])
def test_a_stored_kit_has_its_transcription(tmp_path, transcription):
    blocks = [np.zeros((1, 44100), np.float32)]
    kit = FakeExtractor(transcription=transcription).extract_blocks(blocks, drums=("kick",))
    kit_store.save(kit, tmp_path / "kit")
    assert kit_store.load(tmp_path / "kit").transcription == transcription


def test_a_kit_that_was_stored_without_one_is_read_and_served(served, loop):
    with served() as client:
        job = finished(client, loop)
        stored = state_folder(client.app.state.dose.config) / job / "kit" / "kit.json"
        facts = json.loads(stored.read_text())
        del facts["transcription"]
        stored.write_text(json.dumps(facts))
        kit = client.get(f"/jobs/{job}/kit?response=json").json()
    assert kit["groove"] is None
    assert len(kit["drums"]["kick"]) == 1


def test_a_reroll_and_a_restart_keep_the_groove(served, loop):
    with served(FakeExtractor(transcription=SONG)) as client:
        job = finished(client, loop)
    # The models of the restarted service give no transcription: it has the one of the kit before.
    with served(FakeExtractor()) as client:
        assert client.get(f"/jobs/{job}/midi").content == midi.played(SONG)
        rolled = client.post(f"/jobs/{job}/reroll?drums=snare&seed=3").json()["id"]
        while client.get(f"/jobs/{rolled}").json()["state"] != "done":
            time.sleep(0.02)
        assert client.get(f"/jobs/{rolled}/midi").content == midi.played(SONG)
        kit = client.get(f"/jobs/{rolled}/kit?response=json").json()
    assert kit["groove"] == groove_facts(SONG)


def test_the_client_has_the_groove_and_its_midi(on_a_port, loop, tmp_path):
    with Client(on_a_port(FakeExtractor(transcription=SONG))) as client:
        for kit in (client.extract(loop), client.extract_song(loop, name="A-quantised")):
            assert kit.groove == groove_facts(SONG)
            assert kit.midi() == midi.played(SONG)
            assert kit.midi("quantised") == midi.quantised(SONG)
            saved = kit.save(tmp_path / "kit")
            assert sorted(path.suffix for path in saved) == [".mid", ".mid", ".wav", ".wav", ".wav"]


@pytest.mark.parametrize(("transcription", "timing"), [(UNSTEADY, "quantised"), (None, "played")])
def test_the_client_says_that_there_is_no_midi(on_a_port, loop, transcription, timing):
    with Client(on_a_port(FakeExtractor(transcription=transcription))) as client:
        kit = client.extract(loop)
        assert kit.groove == groove_facts(transcription)
        with pytest.raises(DoseError, match=f"no MIDI file of its hits as {timing}"):
            kit.midi(timing)

"""All names that differ between the base commit and the working tree. Adapt `NEW` (and nothing else) after a
rename.

`OLD` has the names of the base commit, `NEW` those of the working tree. The left side of an entry is the name
that the probes use and never changes; the right side is what the tree has. Kinds of entries:

no prefix    an object, as "module:attribute"
attr.        an attribute or a method of an object
key.         a key of a dictionary
kwarg.       a keyword of a call
replace.     objects, as "module:attribute", in whose place the probes put one of their own
section.     a section of params.yaml, as a dotted path
params.      a key of params.yaml, as a dotted path
value.       a value that a key takes
cli.         words of the command line: a command or an option
path.        a file or a folder of the repository
array.       an array of a token shard
json.        a key of the JSON output of `dose extract`
metric.      a key of the training history
file.        a file that `dose rmod export` writes

A name of the last three kinds needs an entry only after a rename, in `NEW` alone, with the base commit's name
on the left: {"json.borrowed": "new_name"}.
"""

OLD: dict[str, str] = {
    # Objects
    "cli": "dose.cli:main",
    "parse": "dose.config:parse",
    "read_audio": "dose.audio:read",
    "SourcesConfig": "dose.sources.build:SourcesConfig",
    "build_sources": "dose.sources.build:build",
    "RmodConfig": "dose.rmod.config:RmodConfig",
    "TokensConfig": "dose.tokens.build:TokensConfig",
    "build_tokens": "dose.tokens.build:build",
    "open_data": "dose.train.data:open_data",
    "FitConfig": "dose.train.fit:FitConfig",
    "fit": "dose.train.fit:fit",
    "shipped_codec": "dose.codec:bundled_codec",
    "PromptConfig": "dose.tokens.prompt:PromptConfig",
    "prompt_codes": "dose.tokens.prompt:prompt_codes",
    "load_model": "dose.model.checkpoint:load",
    "generate": "dose.model.decode:generate",
    "Sampling": "dose.model.sampling:Sampling",
    "fit_logistic": "dose.extract.confidence:fit",
    "calibration_error": "dose.extract.confidence:expected_calibration_error",
    "GateConfig": "dose.gate.config:GateConfig",
    "Scores": "dose.gate.verdict:Scores",
    "judge": "dose.gate.verdict:judge",
    "mss": "dose.metrics.mss:mss",
    "mss_both": "dose.metrics.mss:both",
    "kad": "dose.metrics.kernel:kad",
    "frechet": "dose.metrics.frechet:frechet",
    "frechet_infinity": "dose.metrics.frechet:frechet_infinity",
    "log_spectral_distance": "dose.metrics.spectral:log_spectral_distance",
    "envelope_distance": "dose.metrics.spectral:envelope_distance",
    "attack_error": "dose.metrics.attack:attack_error",
    "class_features": "dose.metrics.judges:features",
    "ClassCheck": "dose.metrics.judges:ClassCheck",
    "resamples": "dose.metrics.statistics:resamples",
    "mean_estimate": "dose.metrics.statistics:mean_estimate",
    "open_data.drum": "tuple",  # how the drum is handed on: a tuple of one, or its name
    # What `inputs.fix` replaces, in the modules that use it
    "replace.find_onsets": "dose.tokens.prompt:find_hits dose.extract.windows:find_hits",
    "replace.calibrations": "dose.extract.confidence:from_json",
    "replace.uncalibrated": "dose.extract.confidence:UNCALIBRATED",
    "replace.further_notes": "",
    "replace.averages": "",
    "replace.clean_tail": "",
    "replace.blend_source": "",
    # The network that finds onsets in the tree: the base commit has it inside the functions above
    "path.transcription": "",
    # Attributes and keywords
    "attr.codec.save": "save",
    "attr.codec.encode": "encode",
    "attr.codec.decode": "decode",
    "attr.codec.embed": "embed",
    "attr.result.history": "history",
    "attr.result.last": "last",
    "attr.library.clips": "clips",
    "attr.library.id": "id",
    "attr.checkpoint.model": "model",
    "attr.checkpoint.meta": "meta",
    "key.meta.prompt": "prompt",
    "attr.classifier.metrics": "metrics",
    "attr.verdict.promote": "promote",
    "attr.verdict.evidence": "evidence",
    "attr.verdict.reasons": "reasons",
    "kwarg.fit.device": "device",
    "kwarg.sampling.temperature": "temperature",
    "kwarg.sampling.top_k": "top_k",
    "kwarg.sampling.top_p": "top_p",
    "kwarg.sampling.seed": "seed",
    "kwarg.scores.mss": "mss",
    "kwarg.scores.embeddings": "embeddings",
    "kwarg.scores.seconds": "seconds",
    "kwarg.scores.size_mb": "size_mb",
    # params.yaml
    "section.sources": "sources",
    "section.rmod": "rmod",
    "section.tokens": "tokens",
    "section.fit": "sweep.fit",
    "section.gate": "retrain.gate",
    "params.sources.train": "sources.procedural.train",
    "params.sources.val": "sources.procedural.val",
    "params.sources.test": "sources.procedural.test",
    "params.rmod.shard": "rmod.shard",
    "params.tokens.train": "tokens.train",
    "params.tokens.val": "tokens.val",
    "params.tokens.shard": "tokens.shard",
    "params.tokens.workers": "tokens.workers",
    "params.tokens.prompts": "tokens.prompts",
    "params.gate.resamples": "retrain.gate.resamples",
    "params.fit.layers": "sweep.fit.model.layers",
    "params.fit.width": "sweep.fit.model.width",
    "params.fit.heads": "sweep.fit.model.heads",
    "params.fit.positions": "sweep.fit.model.positions",
    "params.fit.excerpts": "sweep.fit.model.excerpts",
    "params.fit.aligned": "sweep.fit.model.aligned",
    "params.fit.structure": "sweep.fit.model.structure",
    "params.fit.prompt": "sweep.fit.prompt",
    "params.fit.steps": "sweep.fit.steps",
    "params.fit.pretraining_steps": "sweep.fit.listen_steps",
    "params.fit.batch": "sweep.fit.batch",
    "params.fit.accumulate": "sweep.fit.accumulate",
    "params.fit.warmup": "sweep.fit.warmup",
    "params.fit.ema": "sweep.fit.ema",
    "params.fit.onset_weight": "sweep.fit.onset_weight",
    "params.fit.onset_region": "sweep.fit.onset_region",
    "params.fit.spectrogram_weight": "sweep.fit.picture_weight",
    "params.fit.precision": "sweep.fit.precision",
    "params.fit.evaluate_every": "sweep.fit.evaluate_every",
    "params.fit.evaluate_items": "sweep.fit.evaluate_items",
    # Values
    "value.prompt.mix": "mix",
    "value.prompt.hits": "hits",
    "value.prompt.levels": "levels",
    "value.aligned.no": "no",
    "value.aligned.also": "also",
    "value.aligned.levels": "levels",
    "value.positions.none": "none",
    "value.structure.free": "free",
    "value.region.paper": "paper",
    "value.precision.fp32": "fp32",
    # Command line
    "cli.export": "rmod export",
    "cli.export.split": "--split",
    "cli.export.dataset": "--dataset",
    "cli.export.count": "--count",
    "cli.export.start": "--start",
    "cli.export.out": "--out",
    "cli.export.workers": "--workers",
    "cli.export.stems": "--stems",
    "cli.export.params": "--params",
    "cli.export.sources": "--sources",
    "cli.extract": "extract",
    "cli.extract.out": "--out",
    "cli.extract.seed": "--seed",
    "cli.extract.candidates": "--candidates",
    "cli.extract.kit": "--kit",
    "cli.extract.bundle": "--bundle",
    "cli.extract.device": "--device",
    "cli.extract.precision": "--precision",
    "cli.extract.json": "--json",
    # Files
    "path.params": "params.yaml",
    "path.loop": "src/dose/sources/demo/loop_breakbeat.flac",
    "file.mix.wav": "mix.wav",
    # Arrays of a token shard
    "array.shot": "{drum}",
    "array.mix": "mix",
    "array.hits": "prompt_{drum}",
    "array.levels": "heard_{drum}",
    "array.picture": "picture_{drum}",
    # Metrics that measure time
    "metric.speed": "train/pairs_per_s",
}

NEW: dict[str, str] = OLD | {
    "open_data.drum": "name",
    "replace.find_onsets": "dose.tokens.prompt:choose_onsets dose.extract.segments:choose_onsets "
    "dose.extract.segments:find_onsets",
    "replace.further_notes": "dose.kits.drumkit:FURTHER_NOTES",
    "replace.averages": "dose.extract.candidates:averages",
    "replace.clean_tail": "dose.extract.candidates:clean_tail",
    "replace.blend_source": "dose.extract.candidates:blend_source",
    "path.transcription": "src/dose/transcription/bundled",
    "TokensConfig": "dose.tokens.encode:TokensConfig",
    "build_tokens": "dose.tokens.encode:build",
    "FitConfig": "dose.train.config:FitConfig",
    "fit": "dose.train.trainer:fit",
    "GateConfig": "dose.registry.gate_config:GateConfig",
    "Scores": "dose.registry.gate:ModelScores",
    "judge": "dose.registry.gate:decide",
    "calibration_error": "dose.extract.reliability:expected_calibration_error",
    "mss_both": "dose.metrics.mss:mss_and_log",
    "kad": "dose.metrics.kad:kad",
    "frechet": "dose.metrics.fad:frechet_distance",
    "frechet_infinity": "dose.metrics.fad:fad_infinity",
    "log_spectral_distance": "dose.metrics.lsd:log_spectral_distance",
    "envelope_distance": "dose.metrics.envelope:envelope_distance",
    "resamples": "dose.metrics.bootstrap:resamples",
    "mean_estimate": "dose.metrics.bootstrap:mean_estimate",
    "params.fit.excerpts": "sweep.fit.model.segments",
    "params.fit.aligned": "sweep.fit.model.conditioning",
    "params.fit.structure": "sweep.fit.model.decoding",
    "params.fit.pretraining_steps": "sweep.fit.encoder_steps",
    "params.fit.spectrogram_weight": "sweep.fit.spectrogram_weight",
    "value.prompt.levels": "band_energies",
    "value.aligned.no": "prefix",
    "value.aligned.also": "prefix_aligned",
    "value.aligned.levels": "band_energies",
    "value.structure.free": "unconstrained",
    "array.levels": "band_energies_{drum}",
    "array.picture": "spectrogram_{drum}",
    "metric.val/shuffle_gap": "val/conditioning_gap",
    "metric.val/onset_shuffle_gap": "val/onset_conditioning_gap",
    "metric.val/picture_loss": "val/spectrogram_loss",
    "json.present": "detected",
    "json.match": "conditioning_fit",
    "json.agreement": "self_consistency",
    "json.borrowed": "source_energy_ratio",
    "class_features": "dose.metrics.log_mel:log_mel_features",
    "ClassCheck": "dose.metrics.classifier:DrumClassifier",
}

# Values that may differ, as "probe/value" patterns of fnmatch, each with the reason. The table counts them.
# A renamed key in bundle.json's calibration, for example, gives the shipped models another version, which
# all kit files name: {"kits/version": REASON, "kits/*/file/*": REASON} leaves the contents compared.
EXPECTED: dict[str, str] = {
    "training/*/train/full_loss": "a part of the loss that the base commit does not log",
    "training/*/train/onset_loss": "a part of the loss that the base commit does not log",
    "gate/*/reasons": "the sentences were reworded; the decisions and figures are compared",
    "kits/*/json/*/groove*": "extraction transcribes the drums; the base commit does not",
    "kits/*/json/*/resynthesis_score": "a score that the base commit does not have",
    "kits/*/json/*/files": "their number: MIDI files and a Hydrogen song are added",
    "kits/*/*.mid": "of the transcription",
    "kits/*/*.h2song": "of the transcription",
    "kits/*/*.sf2": "each sample is stored once for all notes of its drum, in another order",
}

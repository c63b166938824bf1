"""The reference recipes: whole, true to their sources, and told about in docs/recipes.md.

`python -m tests.training.recipes.test_recipes` rewrites the tables of that page.
"""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.losses import CompactCrossEntropy, IntensityAwareLoss
from midas_dfer.models import create_model, list_models
from midas_dfer.models.zoo import architecture
from midas_dfer.predict.windows import frames_of_window
from midas_dfer.readers import DEFAULT_READER
from midas_dfer.readers.start import find_start
from midas_dfer.training.recipes import list_recipes, recipe
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.losses import make_loss
from midas_dfer.training.recognizer import Recognizer, seeded
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import train
from tests.support.factories import make_store

PAGE = Path(__file__).resolve().parents[3] / "docs" / "recipes.md"
MARK = re.compile(r"<!-- From here on written by .*? -->\n")
SETTING = re.compile(r"(\w+): (\S.*?)\s+# (\S.*)")
WITHOUT = {"tsm_resnet34", "mean_resnet18", "still_resnet10", "still_resnet18", "still_sface"}
"""Models without a recipe of their own; the page says so."""

OF_THE_PAPER = ("midas", "midas_hard_labels", "hard", "soft", "midas_ferv39k", "midas_clear", "midas_mixed")
FOLLOW_UP = ("midas_2025",)
GRU = ("cnn_gru_hard", "cnn_gru_soft", "cnn_gru_midas")
OF_THE_READER = ("finetune_reader",)
"""Their network is whatever the packaged reader is."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("recipes"), clips=16)


def rows(name: str) -> list[tuple[str, str, str]]:
    """Setting, value and source of each line of a recipe's file."""
    lines = recipe(name).path.read_text().splitlines()[2:]
    found = [SETTING.fullmatch(line) for line in lines]
    assert all(found), lines
    return [match.groups() for match in found]


def tables() -> str:
    """The part of the page that the files make."""
    head = ("recipe", "model", "labels", "mixer", "loss", "input", "optimiser", "rate", "schedule", "epochs", "batch")
    lines = ["\n## All at a glance\n", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    first = (*OF_THE_PAPER, *FOLLOW_UP, *GRU)
    names = [*first, *(name for name in list_recipes() if name not in first)]
    for name in names:
        config = recipe(name).config()
        frames = str(config.num_segments)
        if config.frames_per_segment > 1:
            frames = f"({frames} x {config.frames_per_segment})"
        schedule = config.schedule + (f", warm-up {config.warmup_epochs}" if config.warmup_epochs else "")
        model, size = ("the reader's",) * 2 if name in OF_THE_READER else (f"`{config.model}`", config.size)
        cells = (
            f"[`{name}`](#{name})",
            model,
            config.labels,
            config.mixer,
            config.loss,
            f"{frames} x {size}",
            config.optimizer,
            f"{config.learning_rate:g}",
            schedule,
            str(config.epochs),
            str(config.batch_size),
        )
        lines.append(f"| {' | '.join(cells)} |")
    midas = {(setting, value) for setting, value, _ in rows("midas")}
    for name in names:
        each = recipe(name)
        lines += [f"\n## {name}\n", f"{each.about}. Source: {each.source}.\n"]
        shown = rows(name)
        if name in first and name != "midas":
            lines[-1] += "\nWhat differs from [`midas`](#midas):\n"
            shown = [row for row in shown if row[:2] not in midas]
        lines += ["| setting | value | from |", "|---|---|---|"]
        lines += [f"| `{setting}` | {value} | {source} |" for setting, value, source in shown]
    return "\n".join(lines) + "\n"


def test_the_page_is_what_the_files_say():
    page = PAGE.read_text()
    assert MARK.split(page)[1] == tables()
    for name in WITHOUT:
        assert f"`{name}`" in page


def test_the_pages_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    names: dict[str, object] = {}
    exec(compile(example, "recipes.md", "exec"), names)  # noqa: S102 - our own page
    assert names["config"].method_name == "MIDAS"


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_is_whole(name):
    each = recipe(name)
    config = each.config()
    settings = [setting for setting, _, _ in rows(name)]
    assert len(settings) == len(set(settings))
    assert {"labels", "mixer", "loss", "dropout", "num_segments", "frames_per_segment"} <= {*settings}
    assert ({"weights"} if name in OF_THE_READER else {"model", "size"}) <= {*settings}
    assert {"epochs", "batch_size", "optimizer", "learning_rate", "schedule", "momentum"} <= {*settings}
    assert {"weight_decay", "parameter_groups", "scales", "flip"} <= {*settings}
    assert yaml.safe_load(each.path.read_text()) == {s: config.to_dict()[s] for s in settings}
    assert not each.about.endswith(".")
    assert max(map(len, each.path.read_text().splitlines())) <= 120


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipes_model_is_in_the_zoo_and_sees_what_it_was_made_for(name):
    config = recipe(name).config()
    entry = architecture(config.model)
    if name not in (*GRU, *OF_THE_READER):  # table 7 has the paper's input, not that of the network's source
        assert (config.num_frames, config.size) == (entry.num_frames, entry.size)


def test_every_model_has_a_recipe():
    trained = {recipe(name).config().model for name in list_recipes() if name not in OF_THE_READER}
    assert set(list_models()) - WITHOUT == trained
    assert all(name in list_recipes() for name in trained)


def test_the_readers_recipe_starts_from_the_reader():
    config = recipe("finetune_reader").config()
    assert config.weights == DEFAULT_READER.name
    start = find_start("reader")
    assert start is not None
    assert (config.model, config.width, config.size) == (start.model, start.width, start.size)


def test_the_papers_recipes():
    assert recipe("midas").config() == RunConfig()
    methods = {name: recipe(name).config().method_name for name in OF_THE_PAPER[:4]}
    assert methods == {"midas": "MIDAS", "midas_hard_labels": "MIDAS with hard labels", "hard": "hard", "soft": "soft"}
    ferv39k = recipe("midas_ferv39k").config()
    assert (ferv39k.method_name, ferv39k.learning_rate) == ("MIDAS with hard labels", 0.01)
    for group in ("clear", "mixed"):
        config = recipe(f"midas_{group}").config()
        assert (config.group, config.group_size, config.method_name) == (group, 4275, "soft")
    for name in GRU:
        other = {"cnn_gru_hard": "hard", "cnn_gru_soft": "soft", "cnn_gru_midas": "midas"}[name]
        assert recipe(name).config().to_dict() == {**recipe(other).config().to_dict(), "model": "cnn_gru_resnet18"}


def test_the_follow_ups_recipe_differs_from_the_papers_in_alpha_alone_and_says_what_is_second_hand():
    each = recipe("midas_2025")
    assert each.config().to_dict() == {**recipe("midas").config().to_dict(), "alpha": 0.8}
    assert "2506.20867" in each.source
    assert "second-hand" in each.source
    sources = {setting: source for setting, _, source in rows("midas_2025")}
    assert all(sources[setting].startswith("second-hand") for setting in ("alpha", "normalization"))
    verified = {setting for setting, source in sources.items() if "abstract" in source}
    assert verified == {"labels", "mixer"}, "nothing else of the preprint could be read"


def test_every_choice_of_the_optimisation_is_some_recipes():
    """What no publication or recipe needs is no setting."""
    configs = [recipe(name).config() for name in list_recipes()]
    default = RunConfig()
    for setting in ("optimizer", "schedule", "parameter_groups"):
        choices = {f.name: f.type for f in fields(RunConfig)}[setting].__args__
        assert {getattr(config, setting) for config in configs} == set(choices)
    for setting in ("milestones", "decay_factor", "warmup_epochs", "partial_batch_norm", "clip_gradient"):
        assert any(getattr(config, setting) != getattr(default, setting) for config in configs)


@pytest.mark.parametrize("name", [n for n in list_recipes() if n not in OF_THE_PAPER[1:] and n not in GRU])
def test_every_recipe_takes_a_step(name):
    """Its optimiser has all of its network's parameters, and the step changes them."""
    config = recipe(name).config()
    width = 8 if architecture(config.model).scalable else 64
    generator = torch.Generator().manual_seed(0)
    model = create_model(config.model, 3, 4, dropout=config.dropout, width=width, generator=generator)
    recognizer = Recognizer(model, config, 3, num_steps=8 * config.epochs, loss=make_loss(config, torch.eye(3)))
    planned = recognizer.configure_optimizers()
    optimizer, scheduler = planned["optimizer"], planned["lr_scheduler"]["scheduler"]
    start = config.learning_rate * (0.001 if config.warmup_epochs else 1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(start)
    learning = {name: value.clone() for name, value in model.named_parameters() if value.requires_grad}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(learning)
    clips = torch.rand(3, 4, 3, 32, 32, generator=generator)
    with seeded(generator, torch.device("cpu")):
        loss = recognizer.loss(model(clips), torch.eye(3))
        loss.backward()
    optimizer.step()
    scheduler.step()
    assert loss.isfinite()
    parameters = dict(model.named_parameters())
    assert all(value.isfinite().all() for value in parameters.values())
    of_heads = [each for each in learning if each.startswith(tuple(f"{head}." for head in model.heads))]
    assert of_heads
    assert all(not torch.equal(parameters[each], learning[each]) for each in of_heads)


def test_the_losses_of_the_recipes():
    labels = torch.eye(7)
    assert isinstance(make_loss(recipe("stt").config(), labels), CompactCrossEntropy)
    assert isinstance(make_loss(recipe("gca_ial").config(), labels), IntensityAwareLoss)


def printed(capsys, *flags: str) -> RunConfig:
    assert main(["train", *flags, "--print_config"]) == 0
    return RunConfig.from_dict(yaml.safe_load(capsys.readouterr().out))


def test_flags_override_recipes_and_files_and_the_last_of_these_counts(capsys, tmp_path):
    plain = recipe("former_dfer").config()
    assert printed(capsys, "--recipe", "former_dfer") == plain
    assert printed(capsys, "--recipe=former_dfer", "--batch-size", "4").batch_size == 4
    assert printed(capsys, "--batch_size", "4", "--recipe", "former_dfer").batch_size == 4
    (tmp_path / "c.yaml").write_text("batch_size: 6\n")
    file = str(tmp_path / "c.yaml")
    assert printed(capsys, "--recipe", "former_dfer", "--config", file).batch_size == 6
    assert printed(capsys, "--config", file, "--recipe", "former_dfer").batch_size == 32
    assert printed(capsys, "--recipe", "former_dfer", "--milestones", "[]", "--schedule", "cosine").schedule == "cosine"
    assert printed(capsys) == RunConfig()


def test_an_unknown_recipe_is_refused_with_a_close_one(capsys):
    assert main(["train", "--recipe", "formerdfer", "--store", "s", "--out", "o"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "midas: There is no recipe 'formerdfer'; did you mean former_dfer? To see all: midas list recipes\n"
    )
    assert main(["crossval", "--recipe", "midsa", "--store", "s", "--out", "o"]) == 2
    told = capsys.readouterr().err
    assert "did you mean midas" in told
    assert "dpcnet" not in told
    with pytest.raises(RequestError, match=r"no recipe '\.\./config'\. To see all: midas list recipes"):
        recipe("../config")


def test_the_list_of_recipes(capsys):
    assert main(["list", "recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[::2]] == list(list_recipes())
    assert main(["list", "recipes", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in shown] == list(list_recipes())
    assert all(each["source"] and Path(each["path"]).is_file() for each in shown)


def test_a_recipe_trains_from_the_command_line(store, tmp_path, capsys):
    flags = ["--width", "8", "--size", "32", "--epochs", "1", "--num_threads", "1", "--num_segments", "2"]
    run = tmp_path / "run"
    assert (
        main(["train", "--recipe", "tsm_resnet18_finetune", *flags, "--store", str(store.path), "--out", str(run)]) == 0
    )
    assert "\nweights: random; " in capsys.readouterr().out
    config = Run.open(run).config
    assert (config.parameter_groups, config.partial_batch_norm, config.size) == ("tsm", True, 32)
    again = tmp_path / "again"
    start = ["train", "--config", str(run / "config.yaml"), "--store", str(store.path), "--out", str(again)]
    assert main([*start, "--weights", str(run / "weights.safetensors")]) == 0
    told = capsys.readouterr().out.splitlines()
    (line,) = (line for line in told if line.startswith(f"weights: {run / 'weights.safetensors'}: "))
    assert line.endswith(" weights loaded")


@given(num_frames=st.integers(1, 60), num_segments=st.integers(1, 9), run=st.integers(1, 4), seed=st.integers(0, 9))
def test_frames_that_follow_each_other(num_frames, num_segments, run, seed):
    for generator in (None, torch.Generator().manual_seed(seed)):
        chosen = sample_segments(num_frames, num_segments, run, generator=generator).tolist()
        assert len(chosen) == num_segments * run
        assert chosen == sorted(chosen)
        assert 0 <= chosen[0] <= chosen[-1] < num_frames
        if num_frames - run + 1 >= num_segments * run:  # no two runs overlap by chance alone
            runs = [chosen[at : at + run] for at in range(0, len(chosen), run)]
            starts = num_frames - run + 1
            for number, each in enumerate(runs if generator is None else []):
                assert each == list(range(each[0], each[0] + run))
                assert number * starts // num_segments <= each[0] < max(1, (number + 1) * starts // num_segments)


@given(num_frames=st.integers(17, 300), seed=st.integers(0, 9))
def test_former_dfers_sampling(num_frames, seed):
    """Its test frames, written as its data loader has them; its training frames are drawn from the same places."""
    tick = (num_frames - 1) / 8
    expected = [int(tick / 2 + tick * segment) + step for segment in range(8) for step in (0, 1)]
    chosen = sample_segments(num_frames, 8, 2).tolist()
    assert max(abs(a - b) for a, b in zip(chosen, expected, strict=True)) <= 1  # rounded otherwise
    drawn = sample_segments(num_frames, 8, 2, generator=torch.Generator().manual_seed(seed)).tolist()
    for segment, first in enumerate(drawn[::2]):
        assert int(segment * tick) <= first < (segment + 1) * tick


def test_runs_of_frames_reach_training_evaluation_and_prediction(store, tmp_path):
    view = ClipView(num_segments=2, size=24, frames_per_segment=2)
    dataset = ClipDataset(store, view=view)
    assert dataset[0].clips.shape == (1, 4, 3, 24, 24)
    chosen = sample_segments(store.num_frames(dataset.video_ids[0]), 2, 2).tolist()
    whole = ClipDataset(store, view=ClipView(num_segments=max(chosen) + 1, size=24))
    assert len(whole[0].clips[0]) == max(chosen) + 1
    config = RunConfig(width=8, size=24, num_segments=2, frames_per_segment=2, epochs=1, num_threads=1, mixer="none")
    run = train(config, store, tmp_path / "run", say=lambda line: None)
    assert run.config.num_frames == 4
    assert evaluate(run, store)[0].num_clips > 0
    times = torch.arange(20).double().numpy() / 10
    assert frames_of_window(times, 0.5, 1.5, 2, 2) == [5 + at for at in sample_segments(10, 2, 2).tolist()]


if __name__ == "__main__":
    page = PAGE.read_text()
    mark = MARK.search(page)
    PAGE.write_text(page[: mark.end()] + tables())

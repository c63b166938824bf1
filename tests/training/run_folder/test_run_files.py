"""The files of a run, damaged, edited, exchanged, of an earlier version, unreadable: refused, or read as before."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest
import safetensors.torch
import torch
import yaml

from midas_dfer.cli import main
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.models.weights import check_finite_weights
from midas_dfer.training.run_folder.identity import RunIdentity, digest
from midas_dfer.training.run_folder.metrics_file import read_epochs
from midas_dfer.training.run_folder.runs import LAST_CHECKPOINT, METRICS_FILE, PARTS_FILE, RUN_FILE, WEIGHTS_FILE, Run
from midas_dfer.training.train import resume
from tests.support.fuzz_runs import RUNS, note_sound, read_run, sound_run, write_runs
from tests.support.fuzz_targets import run_case

CASES = 6
T = TypeVar("T")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_runs(root)
    note_sound(root)
    return root


@pytest.fixture
def done(root, tmp_path) -> Path:
    return shutil.copytree(root / "done", tmp_path / "done")


@pytest.fixture
def begun(root, tmp_path) -> Path:
    return shutil.copytree(root / "begun", tmp_path / "begun")


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """What was read, or why it was refused."""
    try:
        return read(), ""
    except MidasError as error:
        return None, str(error)


def silent(_: str) -> None:
    pass


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def forget(path: Path, *names: str) -> None:
    """Make a run one of an earlier version."""
    kept = {name: value for name, value in json.loads((path / RUN_FILE).read_text()).items() if name not in names}
    (path / RUN_FILE).write_text(json.dumps(kept))
    if (path / WEIGHTS_FILE).exists():
        safetensors.torch.save_file(safetensors.torch.load_file(path / WEIGHTS_FILE), path / WEIGHTS_FILE)
    state = torch.load(path / LAST_CHECKPOINT, weights_only=True)
    state.pop("midas_dfer")
    torch.save(state, path / LAST_CHECKPOINT)


NEW = ("recipe", "parts_digest", "weights_digest")


@pytest.mark.parametrize("target", RUNS, ids=lambda target: target.name)
def test_damaged_files_are_refused_or_give_what_the_sound_ones_give(target, root):
    (file,) = target.files(root)
    target.read(root, file)
    cases = CASES if "resume" not in target.name else CASES // 2
    outcomes = [run_case(target, root, seed) for seed in range(cases)]
    assert not [outcome for outcome in outcomes if outcome.result == "fault"]
    assert sum(outcome.result == "refused" for outcome in outcomes) >= cases // 2


@pytest.mark.parametrize("name", ["run.json", PARTS_FILE, WEIGHTS_FILE])
def test_a_flipped_bit_is_refused_or_changes_nothing(name, root, done):
    rng = random.Random(name)  # noqa: S311
    sound = (done / name).read_bytes()
    refused = 0
    for _ in range(25):
        content = bytearray(sound)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (done / name).write_bytes(content)
        found, refusal = attempt(lambda: read_run(done))
        assert name in refusal if found is None else found.same(sound_run(root))
        refused += found is None
    assert refused >= 5


WRONG = ("null", "true", "[]", "{}", "[" * 2000 + "]" * 2000, '{"a": ' * 2000 + "1" + "}" * 2000, "\x00", "NaN")


@pytest.mark.parametrize("name", [RUN_FILE, "config.yaml"])
@pytest.mark.parametrize("content", WRONG, ids=lambda content: content[:6])
def test_something_else_than_an_object(name, content, done):
    (done / name).write_text(content)
    if (name, content) == ("config.yaml", "{}"):  # all defaults: another network
        with pytest.raises(RequestError, match=r"weights\.safetensors"):
            Run.open(done).load_model()
        return
    with pytest.raises(RequestError, match=name):
        Run.open(done)


def test_fields_of_another_kind_are_named(done):
    sound = json.loads((done / RUN_FILE).read_text())
    for name in sound:
        for value in (None, True, -1, [], [1], {}, {"a": {}}, "x", ["a", "a"], 2**70):
            (done / RUN_FILE).write_text(json.dumps({**sound, name: value}))
            run, refusal = attempt(lambda: Run.open(done))
            if run is None:
                assert RUN_FILE in refusal
                assert name in refusal
            else:
                kinds = {dict: (dict, ExtractSettings), list: (tuple,)}
                assert type(getattr(run.provenance, name)) in kinds.get(type(value), (type(value),))
        (done / RUN_FILE).write_text(json.dumps({key: value for key, value in sound.items() if key != name}))
        run, refusal = attempt(lambda: Run.open(done))
        assert run is not None or f"{name} is missing" in refusal
    for extra in ("zzz", "", "class_name"):
        (done / RUN_FILE).write_text(json.dumps({**sound, extra: 1}))
        with pytest.raises(RequestError, match="does not know"):
            Run.open(done)
    for field, value in (("size", "a"), ("size", True), ("faces", "guess"), ("size", 1), ("sizes", 3)):
        (done / RUN_FILE).write_text(json.dumps({**sound, "extract": {**sound["extract"], field: value}}))
        with pytest.raises(RequestError, match=rf"run\.json.*{field}"):
            Run.open(done)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 11))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (BOMB, "anchor or alias"),
        ("epochs: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
        ("[" * 2000, "nested too deeply"),
        ("epochs: 3\nepochs: 4\n", "epochs twice"),
        ("epochs: 3\n---\nepochs: 4\n", "several YAML documents"),
        ("null", "no configuration"),
        ("", "no configuration"),
        ("epochs: 3\n" * 9000, "larger than 64 KiB"),
        ("seed: 2001-99-99", "seed"),
        ("learning_rate: " + "9" * 400, "beyond use"),
        ("1: 2\nfoo: 3", "1"),
    ],
    ids=lambda value: value[:12],
)
def test_a_file_of_settings_that_is_none_is_refused_at_once(content, named, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(content)
    assert main(["train", "--store", "s", "--out", "o", "--config", "c.yaml"]) == 2
    assert named in capsys.readouterr().err
    assert main(["crossval", "--store", "s", "--out", "o", "--config", "c.yaml"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["train", "--store", "s", "--out", "o", "--scales", "[" * 3000 + "]" * 3000]) == 2
    assert "nested or large beyond use" in capsys.readouterr().err


def edited(path: Path, name: str, value: object) -> None:
    settings = yaml.safe_load((path / "config.yaml").read_text())
    assert settings[name] != value
    (path / "config.yaml").write_text(yaml.safe_dump({**settings, name: value}))


@pytest.mark.parametrize(("name", "value"), [("epochs", 6), ("batch_size", 4), ("seed", 5), ("labels", "hard")])
def test_an_edited_recipe_is_named(name, value, begun, done):
    edited(begun, name, value)
    with pytest.raises(
        RequestError, match=rf"config\.yaml, or .* was edited since the run began: {name} is {value}, it was"
    ):
        resume(begun, say=silent)
    forget(begun, "recipe")  # also where only the checkpoint tells; but for that, too, of an earlier version
    edited(done, name, value)
    with pytest.raises(RequestError, match="was edited since the run began"):  # there is nothing to go on with, either
        resume(done, say=silent)
    with pytest.raises(RequestError, match=rf"config\.yaml or run\.json was edited.*--{name} is {value}, it was"):
        Run.open(done).load_model()


def test_the_checkpoint_alone_tells_an_edited_recipe(begun):
    edited(begun, "epochs", 6)
    edit_json(begun / RUN_FILE, recipe=None)
    with pytest.raises(RequestError, match=r"last\.ckpt is of another run: --epochs is 6, it was 3"):
        resume(begun, say=silent)


def test_settings_of_the_machine_may_be_edited(begun, root):
    edited(begun, "num_workers", 0)
    weights = safetensors.torch.load_file(resume(begun, say=silent).path / WEIGHTS_FILE)
    assert all(torch.equal(value, sound_run(root).weights[name]) for name, value in weights.items())


def test_classes_clips_and_weights_belong_together(done, begun, root, tmp_path):
    classes = json.loads((done / RUN_FILE).read_text())["class_names"]
    edit_json(done / RUN_FILE, class_names=classes[::-1])
    with pytest.raises(RequestError, match="the classes are angry, sad, happy, they were happy, sad, angry"):
        Run.open(done).load_model()
    edit_json(begun / RUN_FILE, class_names=classes[::-1])
    with pytest.raises(RequestError, match=r"run\.json names the classes angry"):
        resume(begun, say=silent)
    edit_json(done / RUN_FILE, class_names=classes, extract={"size": 64, "faces": "cropped"})
    with pytest.raises(RequestError, match="how faces are cut: size is 64, it was 32"):
        Run.open(done).load_model()
    path = shutil.copytree(root / "done", tmp_path / "parts")
    table = pl.read_parquet(path / PARTS_FILE)
    for column in (
        pl.col("part").replace({"train": "test", "test": "train"}),
        pl.col("part").replace({"test": "exam"}),
        pl.lit(1).alias("part"),
        pl.lit(None, pl.String).alias("part"),
    ):
        table.with_columns(column).write_parquet(path / PARTS_FILE)
        with pytest.raises(RequestError, match=r"parts\.parquet (was changed|is damaged)"):
            Run.open(path).part("test")


def test_weights_that_are_not_finite_are_refused(done):
    state = safetensors.torch.load_file(done / WEIGHTS_FILE)
    state["fc.weight"][0, 0] = float("inf")
    safetensors.torch.save_file(state, done / WEIGHTS_FILE)
    with pytest.raises(RequestError, match=r"weights\.safetensors is damaged \(of its weights, fc\.weight"):
        Run.open(done).load_model()
    check_finite_weights({"a": torch.tensor([3]), "b": torch.zeros(2, dtype=torch.bfloat16)}, "x")


def test_weights_of_another_run_are_told(done):
    state = safetensors.torch.load_file(done / WEIGHTS_FILE)
    state["fc.weight"] *= 2
    safetensors.torch.save_file(state, done / WEIGHTS_FILE)
    with pytest.raises(RequestError, match=r"weights\.safetensors was changed since training ended"):
        Run.open(done).load_model()


def test_a_run_of_an_earlier_version_opens_and_is_told_once(begun, done, root):
    forget(done, *NEW)
    assert read_run(done).weights.keys() == sound_run(root).weights.keys()
    forget(begun, *NEW)
    told: list[str] = []
    weights = safetensors.torch.load_file(resume(begun, say=told.append).path / WEIGHTS_FILE)
    assert all(torch.equal(value, sound_run(root).weights[name]) for name, value in weights.items())
    assert sum("earlier version" in line for line in told) == 2
    assert json.loads((begun / RUN_FILE).read_text())["recipe"]["epochs"] == 3


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no version": lambda c: c.pop("pytorch-lightning_version"),
    "loops": lambda c: c.update(loops={}),
    "Batches": lambda c: c.update(Batches=-1),
    "next epoch": lambda c: c["Batches"].update(next_epoch=0),
    "ready": lambda c: c["loops"]["fit_loop"].update(epoch_progress={"ready": {}}),
    "fewer epochs": lambda c: c["loops"]["fit_loop"]["epoch_progress"]["current"].update(processed=1, completed=1),
    "optimizer": lambda c: c.update(optimizer_states=[]),
    "callback": lambda c: c.update(callbacks={"RunCheckpoint": 3}),
    "epoch": lambda c: c.update(epoch=0),
    "weights": lambda c: c["state_dict"].update({"model.fc.bias": None}),
}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_with_something_else_in_it(damage, sealed, begun):
    """An earlier version's has no seal; then what does not fit is refused all the same."""
    if not sealed:
        forget(begun, *NEW)
    content = torch.load(begun / LAST_CHECKPOINT, weights_only=True)
    DAMAGE[damage](content)
    torch.save(content, begun / LAST_CHECKPOINT)
    with pytest.raises(RequestError, match=r"last\.ckpt .*; delete it, and --resume begins at the first epoch"):
        resume(begun, say=silent)


def test_the_digest_sees_every_value():
    content = {"a": torch.arange(6).view(2, 3), "b": [1, (2.0, None)], "c": {"d": torch.zeros(0), 3: True}}
    first = digest(content)
    assert first == digest({"c": content["c"], "b": [1, [2.0, None]], "a": content["a"].clone()})
    for other in (
        {**content, "a": content["a"].view(3, 2)},
        {**content, "a": content["a"].float()},
        {**content, "b": [1, (2.0,), None]},
        {**content, "c": {"d": torch.zeros(0), "3": True}},
    ):
        assert digest(other) != first


HEAD = "epoch,learning_rate,seconds,train_loss,train_uar,train_war"


def lines(*epochs: object) -> str:
    return "\n".join([HEAD, *(f"{epoch},0.1,1,1,0.5,0.5" for epoch in epochs)]) + "\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (lines(1, 3), "epoch 2 is missing"),
        (lines(1, 2), "epoch 3 is missing"),
        (lines(1, 2, 2, 3), "epoch 1 is missing, or not in its place"),
        (lines(2, 1, 3), "epoch 2 is missing"),
        (lines(1, "2.0", 3), "line 3"),
        (lines(1, "", 3), "line 3"),
        (lines(1, 2, 3).replace("0.5\n3", "0.5,7\n3"), "line 3"),
        (lines(1, 2, 3).replace(",0.5,0.5\n3", "\n3"), "line 3"),
        (lines(1, 2, 3).replace("2,0.1", "2,fast"), "learning_rate is 'fast'"),
        (HEAD + "\n", "epoch 3 is missing"),
        ("a,b\n1,2\n", "no column epoch"),
        ("", "no column epoch"),
        ("\x00", "metrics"),
    ],
)
def test_lines_of_epochs_that_do_not_follow_each_other(content, named, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    with pytest.raises(RequestError, match="metrics") as told:
        read_epochs(path, 3)
    assert named in str(told.value)


def test_lines_of_epochs_that_may_be(tmp_path, begun):
    path = tmp_path / "metrics.csv"
    for content, expected in ((lines(1, 2, 3, 4), "123"), (lines(1, 2, 3), "123"), (lines(3), "3")):
        path.write_text(content)
        assert "".join(row["epoch"] for row in read_epochs(path, 3)) == expected
    path.unlink()
    assert read_epochs(path, 3) == []
    (begun / METRICS_FILE).unlink()
    told: list[str] = []
    assert resume(begun, say=told.append).finished
    assert any("has no lines of the epochs 1 to 2" in line for line in told)


@pytest.mark.parametrize("name", [RUN_FILE, "config.yaml", PARTS_FILE, WEIGHTS_FILE, METRICS_FILE, LAST_CHECKPOINT])
def test_a_file_that_may_not_be_read_is_said_to_be_that(name, done, begun, monkeypatch):
    """Everything may be read by root, so the refusal is made up."""
    real, torch_load = Path.open, torch.load
    refuse = {done / name, begun / name}

    def denied(path: object) -> None:
        if Path(str(path)) in refuse:
            raise PermissionError(13, "Permission denied", str(path))

    def path_open(self, *args, **more):
        denied(self)
        return real(self, *args, **more)

    def load(file, *args, **more):
        denied(file)
        return torch_load(file, *args, **more)

    monkeypatch.setattr(Path, "open", path_open)
    monkeypatch.setattr(torch, "load", load)

    def read() -> None:
        if name in (METRICS_FILE, LAST_CHECKPOINT):
            resume(begun, say=silent)
        else:
            read_run(done)

    with pytest.raises(RequestError, match=rf"{Path(name).name} may not be read by this user; change its permissions"):
        read()


def test_what_a_kill_left_half_written_is_removed(begun):
    remains = [begun / "checkpoints" / ".last.99.tmp.ckpt", begun / "checkpoints" / ".best.99.tmp.safetensors"]
    remains += [begun / ".run.99.tmp.json", begun / "logs" / ".metrics.99.tmp.csv"]
    for each in remains:
        each.write_text("half")
    assert resume(begun, say=silent).finished
    assert not [each for each in remains if each.exists()]


def test_an_identity_names_what_differs():
    first = RunIdentity({"epochs": 3}, ("x", "y"), "f", {"size": 3}, "p")
    assert RunIdentity.from_json(first.to_json()) == first
    assert first.differences(first) == []
    other = RunIdentity({"epochs": 4}, ("y", "x"), "g", {"size": 4}, "q")
    told = " ".join(first.differences(other))
    for part in ("--epochs is 4, it was 3", "y, x", "fingerprint is g", "size is 4", "other clips"):
        assert part in told
    for text in ("null", "[]", "{}", "1", '{"recipe": 1}', "[" * 3000):
        with pytest.raises(ValueError, match=r".+"):
            RunIdentity.from_json(text)

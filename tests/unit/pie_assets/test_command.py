"""`pie assets`: what it prints, and its exit statuses."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from pie_assets import command as assets_command
from pie_framework.assets.catalogue import Catalogue, load
from pie_framework.cli.main import main

from .server import file, serve

HEADS = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"x" * 100


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "assets"


def test_the_list_has_every_asset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in load().entries)
    assert main(["assets", "list", "lpips"]) == 0
    assert "stylegan" not in capsys.readouterr().out


def test_lists_and_shows_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets", "list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert len(entries) == len(load().entries)
    assert main(["assets", "show", "stylegan2-ffhq-256", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sha256"] == "unknown" and shown["here"] == "no" and shown["non_commercial"] is True


def test_show_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets", "show", "bfm-front"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "BFM_model_front.mat",
        "registration",
        "yes",
        "unknown",
        "face_model=bfm",
        "pie assets add bfm-front",
    ):
        assert text in shown


def test_adding_verifying_and_damage(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(HEADS)
    assert main(["assets", "add", "lpips-vgg", str(mine)]) == 2
    assert "has 115 bytes; 'lpips-vgg' has 7289" in capsys.readouterr().err
    assert main(["assets", "add", "vggface16", str(mine)]) == 0
    shown = capsys.readouterr()
    assert "non-commercial" in shown.out and hashlib.sha256(HEADS).hexdigest() in shown.err
    assert main(["assets", "path", "vggface16"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == store / "vggface16" / "vgg_face_dag.pth"
    assert main(["assets", "verify"]) == 0
    assert "as it came" in capsys.readouterr().out
    path.write_bytes(HEADS[:-1] + b"y")
    assert main(["assets", "verify", "vggface16"]) == 1
    assert "damaged" in capsys.readouterr().out
    assert main(["assets", "add", "vggface16", str(mine), "link=true"]) == 0
    capsys.readouterr()
    assert main(["assets", "path", "vggface16"]) == 0
    assert capsys.readouterr().out.strip() == str(mine)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["what"], "invalid choice: 'what'"),
        (["list", "--yaml"], "unrecognized arguments: --yaml"),
        (["list", "nothing-like-it"], "no asset's name or use"),
        (["show"], r"required: NAME\. Usage: pie assets show NAME \[--json\]"),
        (["show", "stylegan2-ffhq"], "no asset named 'stylegan2-ffhq'.*Did you mean"),
        (["path", "lpips-vgg"], "is not here.*pie assets pull lpips-vgg"),
        (["path", "flame-2020"], "needs registration at https://flame.*pie assets add flame-2020 FILE"),
        (["pull", "bfm-front"], "cannot be fetched by a program.*needs registration"),
        (["pull", "lpips-vgg", "trust=perhaps"], "neither true nor false"),
        (["pull", "lpips-vgg", "force=true"], "unrecognized arguments: force=true"),
        (["pull", "lpips-vgg", "trsut=true"], "unrecognized arguments: trsut=true"),
        (
            ["add", "lpips-vgg", "a", "--link"],
            r"--link: expected one argument\. Usage: pie assets add NAME FILE \[link=true\]",
        ),
        (["add", "lpips-vgg"], "required: FILE.*pie assets add NAME FILE"),
        (["add", "lpips-vgg", "gone.pth"], "there is no file 'gone.pth'"),
        (["add", "my-own", "gone.pth"], "no asset named 'my-own'"),
        (["verify", "lpips-vgg"], "is not here"),
        (["verify", "nothing"], "no asset named 'nothing' in the catalogue. 'pie assets list' shows all."),
    ],
)
def test_bad_input(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets", *words]) == 2
    assert re.search(said, " ".join(capsys.readouterr().err.split())), said


def test_what_cannot_be_the_asset_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.pth").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.pth").write_text("hello")
    for name, file_name, said in (
        ("lpips-vgg", "empty.pth", "is empty, not a torch file. Get it again"),
        ("lpips-vgg", "text.pth", "is not a torch file.*pie assets show"),
        ("ict-facekit", "folder", "is an empty folder"),
    ):
        assert main(["assets", "add", name, str(tmp_path / file_name)]) == 2
        assert re.search(said, capsys.readouterr().err)


def test_a_damaged_record_is_told_in_whole_sentences(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "lpips-vgg").mkdir(parents=True)
    (store / "lpips-vgg" / "record.json").write_text("garbage")
    assert main(["assets", "verify"]) == 1
    shown = capsys.readouterr().out
    assert "damaged" in shown and ".." not in shown


def test_pulling_shows_progress_and_is_not_done_twice(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with serve() as site:
        url = site.page("/net.pth", file(HEADS))
        entry = dataclasses.replace(load().get("vggface16"), urls=(url,))
        monkeypatch.setattr(assets_command, "load", lambda: Catalogue({"vggface16": entry}))
        assert main(["assets", "pull", "vggface16"]) == 0
        shown = capsys.readouterr()
        assert "vggface16" in shown.out and "is recorded" in shown.err
        assert (store / "vggface16" / "vgg_face_dag.pth").read_bytes() == HEADS
        assert main(["assets", "pull", "vggface16"]) == 0
        assert "is here" in capsys.readouterr().out and len(site.seen) == 1
        assert main(["assets", "pull", "vggface16", "again=true"]) == 0
        assert len(site.seen) == 2
        (store / "vggface16" / "vgg_face_dag.pth").write_bytes(b"broken")
        assert main(["assets", "pull", "vggface16"]) == 0
        assert len(site.seen) == 3
        assert main(["assets", "verify"]) == 0


def test_help_and_an_empty_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets"]) == 0
    assert "PIE_ASSETS" in capsys.readouterr().out
    assert main(["assets", "verify"]) == 0
    assert "nothing is in" in " ".join(capsys.readouterr().out.split())


def test_a_run_that_names_an_absent_asset_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "generator.weights=asset://stylegan2-ffhq-1024"]) == 2
    assert "is not here. Get it with 'pie assets pull stylegan2-ffhq-1024'" in capsys.readouterr().err

import dataclasses
import traceback
from pathlib import Path

import pytest

from edge.cameras.settings import CameraHealthSettings, ControlSettings
from edge.cameras.source import SourceKind
from edge.config.station import EdgeSettings, load_edge_config, render_config
from edge.inspection.camera_set import capture_plan
from models.errors import ConfigError
from tests.simulators.edge_config import MINIMAL

ROOT = Path(__file__).resolve().parents[4]
SOURCE = 'source = "folder:parts"\n'
VIDEO = 'source = "belt.avi"\n[camera.parts]\nempty = "empty.png"\n'
TRIANGLE = "[[0, 0], [1, 0], [1, 1]]"


def region(polygon: str = TRIANGLE) -> str:
    """Return a ``[[camera.region]]``."""
    return f'\n[[camera.region]]\nname = "rim"\npolygon = {polygon}\n'


def load(tmp_path: Path, text: str) -> EdgeSettings:
    path = tmp_path / "edge.toml"
    path.write_text(text, encoding="utf-8")
    return load_edge_config(path)


def test_minimal_configuration_has_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL)
    assert settings.station.topics.root == "graftline/plant/line-1/eol"
    assert (settings.broker.host, settings.broker.port) == ("127.0.0.1", 1883)
    assert settings.camera[0].k <= settings.camera[0].n


def test_relative_paths_are_resolved_against_the_folder_of_the_file(
    tmp_path: Path,
) -> None:
    text = MINIMAL + '[broker]\nusername = "u"\npassword_file = "secret"\n'
    settings = load(tmp_path, text)
    assert settings.model.slot == tmp_path / "slot"
    assert settings.outbox.path == tmp_path / "outbox.sqlite"
    assert settings.evidence.folder == tmp_path / "evidence"
    assert settings.broker.password_file == tmp_path / "secret"
    source = settings.camera[0].source
    assert source.kind is SourceKind.FOLDER
    assert source.address == str(tmp_path / "parts")
    parts = load(tmp_path, MINIMAL.replace(SOURCE, VIDEO)).camera[0].parts
    assert parts is not None
    assert parts.empty == tmp_path / "empty.png"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('slot = "slot"', 'slott = "slot"', "did you mean slot?"),
        ("[outbox]", "[outbocks]", "did you mean outbox?"),
        ('name = "top"', 'name = "top"\nfsp = 3', "did you mean fps?"),
        ('site = "plant"', 'site = "Plant 1"', "station.site"),
        ('name = "top"', 'name = "top/../x"', "camera.0.name"),
        ('"folder:parts"', '"ftp://x"', "is not a source"),
        ('"folder:parts"', '"rtsp://"', "has no host"),
        ('name = "top"', 'name = "top"\nk = 6\nn = 5', "k = 6"),
        ('name = "top"', 'name = "top"\nfps = -1', "camera.0.fps"),
        ("[evidence]", '[broker]\nprotocol = "4"\n[evidence]', "broker.protocol"),
        ("[evidence]", "[broker]\nusername = 3\n[evidence]", "broker.username"),
        ("[evidence]", '[broker]\npassword_file = "x"\n[evidence]', "needs username"),
        ("[evidence]", '[broker]\ntls_cert_file = "x"\n[evidence]', "go together"),
        ("[[camera]]", '[[camera]]\nname="top"\nsource="a"\n[[camera]]', "used twice"),
        ("[[camera]]", "[camera]", "camera"),
        (SOURCE, SOURCE + "cool_down_s = -1", "camera.0.cool_down_s"),
        (SOURCE, SOURCE + region("[[0,0],[1,0]]"), "region rim: a polygon has 3"),
        (SOURCE, SOURCE + region("[[0,0],[1,1],[1,0],[0,1]]"), "region rim: its edges"),
        (SOURCE, SOURCE + region("[[0,0],[nan,0],[1,1]]"), "rim: corner [nan, 0.0]"),
        (SOURCE, SOURCE + region("[[0,0],[640,0],[640,480]]"), "rim: corner [640, 0]"),
        (SOURCE, SOURCE + region() + 'kind = "ignore"', "camera.0.region.0.kind"),
        (SOURCE, SOURCE + region() + "thresholds = { a = 0 }", "0.thresholds.a"),
        (SOURCE, SOURCE + region() + "min_size = 3", "did you mean min_size_px?"),
        (SOURCE, SOURCE + region() + region(), "region name used twice: rim"),
        (
            SOURCE,
            SOURCE + region() + 'kind = "mask"\nmin_size_px = 3',
            "region rim: a mask takes neither",
        ),
        (SOURCE, SOURCE + "[camera.streak]\nalert = 3", "did you mean alerts?"),
        (SOURCE, SOURCE + '[camera.parts]\nempty = "x"', "here a picture is a part"),
        (
            SOURCE,
            VIDEO + "window = [0.9, 0, 0.1, 1]",
            "window [0.9, 0.0, 0.1, 1.0] is not",
        ),
        (
            SOURCE,
            VIDEO + "enter_share = 0.02\nleave_share = 0.05",
            "leave_share = 0.05 must be less than enter_share = 0.02",
        ),
        (SOURCE, VIDEO + "enter = 0.02", "did you mean enter_share?"),
        (SOURCE, SOURCE + "[camera.streak]\nparts = -1", "camera.0.streak.parts"),
        (SOURCE, SOURCE + "[camera.settings]\ngian = 3", "did you mean gain?"),
        (SOURCE, SOURCE + "[camera.settings]\nwidth_px = 3", "0.settings.width_px"),
        (SOURCE, SOURCE + "[camera.health]\nblack_bellow = 3", "mean black_below?"),
        (SOURCE, SOURCE + "[camera.health]\nblack_below = -1", "health.black_below"),
    ],
)
def test_fault_is_reported_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in MINIMAL
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MINIMAL.replace(old, new))
    assert message in str(caught.value)
    assert "edge.toml" in caught.value.what


def test_regions_belong_to_the_camera_above_them(tmp_path: Path) -> None:
    text = MINIMAL + region() + 'thresholds = { "deep scratch" = 0.3 }\n'
    text += '[camera.streak]\nparts = 5\n[[camera]]\nname = "b"\nsource = "folder:b"'
    top, other = load(tmp_path, text).camera
    (rim,) = top.region
    assert rim.thresholds == {"deep scratch": 0.3}
    assert rim.region.corners.tolist() == [[0, 0], [1, 0], [1, 1]]
    assert (top.streak.parts, other.streak.parts) == (5, 0)
    assert other.region == ()


@pytest.mark.parametrize(
    ("source", "trigger", "message"),
    [
        ("folder:parts", "command", "a folder is always triggered"),
        ("file:a.mp4", "hardware", "a video file has no hardware trigger"),
        ("rtsp://cam/1", "sometimes", "camera.0.trigger"),
    ],
)
def test_trigger_that_does_not_fit_the_source_is_refused(
    tmp_path: Path, source: str, trigger: str, message: str
) -> None:
    text = MINIMAL.replace("folder:parts", source) + f'trigger = "{trigger}"\n'
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    text = MINIMAL.replace('"plant"', '"P"').replace('"top"', '"T"')
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "station.site" in caught.value.why
    assert "camera.0.name" in caught.value.why


def test_rendered_configuration_has_no_password(tmp_path: Path) -> None:
    text = MINIMAL.replace("folder:parts", "rtsp://user:secret@cam/1")
    shown = render_config(load(tmp_path, text))
    assert "secret" not in shown
    assert "rtsp://cam/1" in shown


@pytest.mark.fault(80)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("folder:parts", "rtps://admin:S3cret@cam/1"),
        ("folder:parts", "rtsp://admin:S3cret@cam:x/1"),
        ("folder:parts", "rtsp://admin:S3cret@"),
        ("folder:parts", "rtsp://admin:S3cret"),
        ("folder:parts", "rtps://admin:S3cret/1"),
        ('name = "top"', 'name = "rtsp://admin:S3cret@cam/1"'),
        ('name = "top"', 'name = "top"\nfps = "rtsp://admin:S3cret@cam/1"'),
        ('name = "top"', 'name = "top"\n"rtsp://admin:S3cret@cam/1" = 1'),
        ('name = "top"', 'name = "top"\ntrigger = "rtsp://cam/1?pwd=S3cret"'),
        ("[outbox]", '[broker]\nhost = "mqtt://u:S3cret@broker"\n[outbox]'),
    ],
)
def test_error_of_a_configuration_has_no_password(
    tmp_path: Path, old: str, new: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MINIMAL.replace(old, new))
    texts = "".join(traceback.format_exception(caught.value))
    assert "S3cret" not in str(caught.value)
    assert "S3cret" not in texts


@pytest.mark.fault(80)
def test_settings_with_a_password_can_be_logged(tmp_path: Path) -> None:
    text = MINIMAL.replace("folder:parts", "rtsp://user:S3cret@cam/1")
    settings = load(tmp_path, text)
    assert settings.camera[0].source.address == "rtsp://user:S3cret@cam/1"
    shown = f"{settings} {settings!r} {settings.model_dump_json()}"
    assert "S3cret" not in shown
    assert "S3cret" not in repr(capture_plan(settings.camera[0]))


@pytest.mark.parametrize("page", ["regions", "count-parts"])
def test_example_of_the_manual_is_valid(tmp_path: Path, page: str) -> None:
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8")
    example = text.partition("```toml\n")[2].partition("```")[0]
    (camera,) = load(tmp_path, MINIMAL.partition("[[camera]]")[0] + example).camera
    assert camera.streak.parts == 5
    assert bool(camera.region) is (page == "regions")
    assert bool(camera.parts) is (page == "count-parts")


def test_every_field_is_described() -> None:
    for settings in EdgeSettings.model_fields.values():
        annotation = settings.annotation
        classes = [annotation, *getattr(annotation, "__args__", ())]
        for layout in classes:
            for name, field in getattr(layout, "model_fields", {}).items():
                assert field.description, name
    for layout in (ControlSettings, CameraHealthSettings):
        for field in dataclasses.fields(layout):
            assert field.metadata["description"], field.name

//! Real models behind the API: what comes back is what the library makes.

use crate::support::{Answer, Running, encoded, picture};
use gan_data::Direction;
use gan_translate::{Content, Files, MemoryLimit, Model, Options, StyleClusters};
use gan_web::{Choice, Engine, EngineOptions, Limits, ModelEngine, Work, translate_app};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format-2").join(name)
}

fn engine(path: &Path, translation: Duration) -> ModelEngine {
    ModelEngine::open(path, EngineOptions { options: Options::default(), translation }).unwrap()
}

fn serve(engines: Vec<ModelEngine>) -> Running {
    let limits = Limits::default();
    Running::serve(translate_app(engines, &limits).unwrap(), "127.0.0.1", limits)
}

/// A server with the tiny pix2pix model.
pub(crate) fn pix2pix() -> (Running, PathBuf) {
    let path = fixture("pix2pix");
    (serve(vec![engine(&path, Duration::from_secs(60))]), path)
}

/// What the library makes of the bytes of a file.
fn library(model: &Model, input: &[u8]) -> image::DynamicImage {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("in"), folder.path().join("out.png"));
    std::fs::write(&from, input).unwrap();
    let files = Files { instance_content: Some(Content::File(input)), ..Files::new(&from) };
    model.translate_files(&files, &to).unwrap();
    image::open(to).unwrap()
}

#[track_caller]
fn shown(answer: &Answer) -> image::DynamicImage {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("image/png"));
    image::load_from_memory(&answer.body).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}

/// What translates images that take long makes the same of them, whatever became of the files meanwhile.
#[test]
fn the_twin_of_an_engine_makes_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pix2pix");
    copy(&fixture("pix2pix"), &path);
    let mut engine = engine(&path, Duration::from_secs(60));
    let twin = engine.twin().unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let work = Work { image: picture(45, 31), instances: None, size: (45, 31), choice: Choice::default() };
    let made = engine.translate(&work).unwrap();
    assert_eq!(made.size, (45, 31));
    assert_eq!(twin().unwrap().translate(&work), Ok(made));
}

#[test]
fn images_come_back_as_the_library_makes_them() {
    let (server, path) = pix2pix();
    let model = Model::open(path).unwrap();
    for (width, height) in [(32, 32), (1, 1), (45, 31), (64, 200)] {
        let input = picture(width, height);
        let answer = server.post("", &input);
        assert!(shown(&answer) == library(&model, &input), "{width}x{height}");
        assert!(answer.header("server-timing").unwrap().starts_with("translate;dur="));
    }
    let grey = encoded(image::GrayImage::from_fn(20, 21, |x, y| image::Luma([(x * y) as u8])).into());
    assert!(shown(&server.post("", &grey)) == library(&model, &grey));
    let deep = image::ImageBuffer::from_fn(33, 35, |x, y| image::Rgb([(x * 1999) as u16, (y * 1777) as u16, 40_000]));
    let deep = encoded(image::DynamicImage::ImageRgb16(deep));
    assert!(matches!(shown(&server.post("", &deep)), image::DynamicImage::ImageRgb16(_)));
}

#[test]
fn jpeg_and_webp_and_forms_are_read() {
    let (server, path) = pix2pix();
    let model = Model::open(path).unwrap();
    let image = image::load_from_memory(&picture(40, 24)).unwrap();
    for format in [image::ImageFormat::Jpeg, image::ImageFormat::WebP] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        assert!(shown(&server.post("", &bytes)) == library(&model, &bytes), "{format:?}");
        let form = [
            &b"--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"x\"\r\n\r\n"[..],
            &bytes,
            b"\r\n--B--\r\n",
        ]
        .concat();
        let request = server.request("POST /v1/translate").header("Content-Type", "multipart/form-data; boundary=B");
        assert!(shown(&request.body(&form).send()) == library(&model, &bytes), "{format:?}");
    }
}

#[test]
fn dropout_is_repeated_by_its_seed() {
    let (server, path) = pix2pix();
    let input = picture(32, 32);
    let with = |seed: u64| {
        let options = Options { dropout: Some(seed), ..Options::default() };
        library(&Model::open_with(&path, options).unwrap(), &input)
    };
    let plain = shown(&server.post("", &input));
    assert!(shown(&server.post("?seed=3", &input)) == with(3) && shown(&server.post("?seed=4", &input)) == with(4));
    assert!(with(3) != with(4) && with(3) != plain);
    assert!(shown(&server.post("", &input)) == plain, "the seed of one request is not that of the next");
}

#[test]
fn both_directions_of_a_model_are_there() {
    let path = fixture("cyclegan");
    let server =
        serve(vec![engine(&path, Duration::from_secs(60)), engine(&fixture("pix2pix"), Duration::from_secs(60))]);
    let input = picture(32, 32);
    for (word, direction) in [("a2b", Direction::A2b), ("b2a", Direction::B2a), ("a2b", Direction::A2b)] {
        let options = Options { direction: Some(direction), ..Options::default() };
        let expected = library(&Model::open_with(&path, options).unwrap(), &input);
        assert!(shown(&server.post(&format!("?model=cyclegan&direction={word}"), &input)) == expected, "{word}");
    }
    server.post("?model=pix2pix&direction=b2a", &input).refuses(400, "one way");
    let models = server.get("/v1/models").json();
    assert_eq!(models["models"][0]["directions"], serde_json::json!(["a2b", "b2a"]));
    assert_eq!(models["models"][1]["directions"], serde_json::json!(["a2b"]));
}

#[test]
fn label_maps_are_their_own_instances_unless_others_come_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("streets");
    copy(&fixture("pix2pixhd"), &path);
    let refused = ModelEngine::open(&path, EngineOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("no styles"), "{refused}");
    let by_label: BTreeMap<u32, Vec<Vec<f32>>> =
        (0..16).map(|label| (label, (0..4).map(|i| vec![i as f32 - 1.5, label as f32 / 8.0, 0.5]).collect())).collect();
    let clusters = StyleClusters::new(3, by_label).to_tensors().unwrap();
    std::fs::create_dir(path.join("features")).unwrap();
    let file = path.join("features").join(StyleClusters::FILE);
    gan_weights::safetensors::write(&file, &clusters.into_iter().collect()).unwrap();

    let server = serve(vec![engine(&path, Duration::from_secs(60))]);
    let labels = std::fs::read(fixture("inputs/label.png")).unwrap();
    let instances = std::fs::read(fixture("inputs/inst.png")).unwrap();
    let style = |style: u64| Model::open_with(&path, Options { style: Some(style), ..Options::default() }).unwrap();
    let first = shown(&server.post("", &labels));
    assert!(first == library(&style(0), &labels));
    assert!(shown(&server.post("?style=5", &labels)) == library(&style(5), &labels));
    assert!(shown(&server.post("", &labels)) == first, "the style of one request is not that of the next");

    let mut form = Vec::new();
    for (name, bytes) in [("image", &labels), ("instances", &instances)] {
        form.extend(format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n").bytes());
        form.extend(bytes.iter().chain(b"\r\n"));
    }
    form.extend(b"--B--\r\n");
    let request = server.request("POST /v1/translate").header("Content-Type", "multipart/form-data; boundary=B");
    let with_instances = shown(&request.body(&form).send());
    let inst = fixture("inputs/inst.png");
    let label = fixture("inputs/label.png");
    let out = folder.path().join("expected.png");
    style(0).translate_files(&Files { instances: Some(&inst), ..Files::new(&label) }, &out).unwrap();
    assert!(with_instances == image::open(out).unwrap());
    assert!(with_instances != first);

    let wrong = |image: image::DynamicImage, word: &str| server.post("", &encoded(image)).refuses(422, word);
    wrong(image::GrayImage::from_pixel(8, 8, image::Luma([16])).into(), "label 16 at pixel (0, 0)");
    wrong(image::RgbImage::new(8, 8).into(), "ids are needed");
    server.post("?seed=1", &labels).refuses(400, "no dropout");
    let facts = &server.get("/v1/models").json()["models"][0];
    assert_eq!((&facts["draw"]["tool"], &facts["draw"]["palette"][12]["name"]), (&"labels".into(), &"car".into()));
    assert_eq!((&facts["styles"], &facts["instances"]), (&true.into(), &true.into()));
}

#[test]
fn what_a_model_is_can_be_asked() {
    let (server, _) = pix2pix();
    let answer = server.get("/v1/models").json();
    let model = &answer["models"][0];
    assert_eq!((&model["id"], &model["method"], &model["side"]), (&"pix2pix".into(), &"pix2pix".into(), &32.into()));
    assert_eq!((&model["steps"], &model["step"]), (&serde_json::json!([4]), &4.into()));
    assert_eq!(model["input"], serde_json::json!({"kind": "image", "channels": 3}));
    // Trained on drawn facades: their colours can be painted.
    assert_eq!((&model["draw"]["tool"], &model["draw"]["palette"][0]["name"]), (&"colours".into(), &"sky".into()));
    assert!(model["seconds"].as_f64().unwrap() > 0.0 && model["max_pixels"].as_u64().unwrap() > 4096);
    assert_eq!((&answer["max_bytes"], &answer["max_side"]), (&(16 << 20).into(), &8192.into()));
    let text = String::from_utf8(server.get("/v1/models").body).unwrap();
    assert!(!text.contains("fixtures"), "no paths: {text}");
}

#[test]
fn what_a_model_has_not_is_said() {
    let (server, _) = pix2pix();
    let input = picture(8, 8);
    server.post("?step=7", &input).refuses(400, "there are 4");
    server.post("?style=1", &input).refuses(400, "no styles");
    server.post("?direction=b2a", &input).refuses(400, "one way");
    server.post("?model=other", &input).refuses(404, "pix2pix");
    assert_eq!(server.post("?step=4&direction=a2b", &input).status, 200);
}

#[test]
fn an_image_that_would_take_too_long_is_refused_before_it_is_decoded() {
    let path = fixture("pix2pix");
    let mut quick = engine(&path, Duration::from_micros(1));
    let most = quick.facts().max_pixels;
    assert!(most < 1024, "{most}");
    let server = serve(vec![quick]);
    // What the file holds would be refused, too, if it were looked at.
    let whole = picture(64, 64);
    let broken = &whole[..whole.len() - 30];
    let answer = server.post("", &whole);
    answer.refuses(422, "scale it down to");
    assert!(matches!(server.post("", broken).status, 422));
}

#[test]
fn an_image_that_memory_has_no_room_for_is_refused() {
    let limit = MemoryLimit { scratch_bytes: 0, ..MemoryLimit::of_machine(Some(160 << 20), None).unwrap() };
    let options = Options { limit: Some(limit), ..Options::default() };
    let options = EngineOptions { options, translation: Duration::from_secs(1 << 20) };
    let server = serve(vec![ModelEngine::open(&fixture("pix2pix"), options).unwrap()]);
    server.post("", &picture(1600, 1600)).refuses(422, "not enough memory");
    server.still_works();
}

//! The page without a server: files for any static host, with the model in the visitor's browser.

use crate::translate::facts::{ModelFacts, ModelInput};
use serde::Serialize;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const WORKER: &str = include_str!("page/worker.js");
const BEFORE: &str = concat!(
    include_str!("page/png.js"),
    include_str!("page/local.js"),
    include_str!("page/canvas.js"),
    include_str!("page/compare.js")
);
const CAMERA: &str = include_str!("page/camera.js");
const MAIN: &str = include_str!("page/main.js");

/// Pixels of the largest image that is translated: the memory of WebAssembly has an end.
const MAX_PIXELS: u64 = 1 << 21;

/// Scripts and data of this folder alone. Threads have the policy of their host.
const POLICY: &str = r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'">
<link rel="icon" href="data:,">"#;
const CAMERA_WAY: &str = r#"<button type="button" id="way-camera" aria-pressed="false">Camera</button>"#;
const CAMERA_PANE: &str = r#"<div id="camera-pane" class="pane" hidden>
<div class="controls"><button type="button" id="keep" disabled>Keep this frame</button></div>
<figure class="stage"><video id="video" playsinline muted aria-label="The camera"></video></figure>
<canvas id="frame" hidden aria-label="The frame that is translated"></canvas>
</div>"#;
const CAMERA_RESULT: &str = r#"<canvas id="live" role="img" aria-label="The translated frame"></canvas>"#;
const FOOT: &str = r#"<footer><p id="engine" class="quiet"></p></footer>"#;

/// A way to run the model in a browser: a build of ONNX Runtime Web.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Its execution provider: `webgpu`, `wasm`.
    pub name: &'static str,
    /// Path of its module in the folder.
    pub script: &'static str,
    /// Path of its WebAssembly binary.
    pub binary: &'static str,
}

/// A page that runs a model by itself. The model is an ONNX file `model.onnx` with preprocessing and open sizes.
#[derive(Debug, Clone, Serialize)]
pub struct Standalone {
    /// What the model is, with one direction.
    pub model: ModelFacts,
    /// Sides of an input become multiples of this.
    pub size_multiple: usize,
    /// The smallest side of an input, in pixels.
    pub smallest_side: usize,
    /// Name and version of the runtime.
    pub runtime: String,
    /// What may run the model, the fastest first.
    pub backends: Vec<Backend>,
    /// Bytes of all files of the folder but those of [`Standalone::files`].
    pub files: BTreeMap<String, u64>,
}

/// What `description.json` holds.
#[derive(Serialize)]
struct Description<'a> {
    #[serde(flatten)]
    page: &'a Standalone,
    limits: Limits,
}

#[derive(Serialize)]
struct Limits {
    max_pixels: u64,
    max_side: u64,
    max_bytes: u64,
}

impl Standalone {
    /// Why a page cannot run the model; `None` if it can.
    #[must_use]
    pub fn refusal(model: &ModelFacts) -> Option<String> {
        let channels = match model.input {
            ModelInput::Image { channels } => channels,
            ModelInput::Labels { .. } | ModelInput::Lightness => 3,
        };
        if ![1, 3].contains(&channels) || ![1, 3].contains(&model.output_channels) {
            let made = model.output_channels;
            return Some(format!("it takes {channels} channels and makes {made}, and the page knows grey and colour"));
        }
        let needs_instances = model.instances && !matches!(model.input, ModelInput::Labels { .. });
        needs_instances.then(|| "it takes images with instance maps, and the page has none".to_owned())
    }

    /// Name and content of the page's own files.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let model = ModelFacts { max_pixels: MAX_PIXELS, ..self.model.clone() };
        let page = Standalone { model, ..self.clone() };
        let limits = Limits { max_pixels: MAX_PIXELS, max_side: 1 << 13, max_bytes: 1 << 30 };
        // Strings, numbers and lists: JSON holds all of them.
        let description = serde_json::to_string_pretty(&Description { page: &page, limits }).unwrap_or_default();
        // Camera images are no label maps.
        let camera = !matches!(self.model.input, ModelInput::Labels { .. });
        let script = if camera { format!("{BEFORE}{CAMERA}{MAIN}") } else { format!("{BEFORE}{MAIN}") };
        vec![
            ("index.html", html(camera)),
            ("page.css", STYLE.to_owned()),
            ("page.js", script),
            ("worker.js", WORKER.to_owned()),
            ("description.json", description + "\n"),
        ]
    }
}

/// What the server's page has that this one has otherwise.
fn replaced(camera: bool) -> [(&'static str, &'static str); 9] {
    let with_camera = |html| if camera { html } else { "" };
    [
        ("<!-- policy -->", POLICY),
        ("\"/page.css\"", "\"page.css\""),
        ("\"/page.js\"", "\"page.js\""),
        ("Asking the server for its models …", "Loading …"),
        ("<!-- camera way -->", with_camera(CAMERA_WAY)),
        ("<!-- camera pane -->", with_camera(CAMERA_PANE)),
        ("<!-- camera result -->", with_camera(CAMERA_RESULT)),
        ("<!-- foot -->", FOOT),
        (" Programs send images to <code>/v1/translate</code>.", ""),
    ]
}

fn html(camera: bool) -> String {
    replaced(camera).iter().fold(PAGE.to_owned(), |page, (from, to)| page.replacen(from, to, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_page_is_found() {
        for (from, _) in replaced(true) {
            assert_eq!(PAGE.matches(from).count(), 1, "{from}");
        }
        for camera in [true, false] {
            let page = html(camera);
            assert_eq!(page.contains("id=\"video\""), camera);
            assert!(!page.contains("<!--") && !page.contains("/v1/") && !page.contains("=\"/"), "{page}");
        }
    }

    #[test]
    fn elements_of_the_scripts_are_on_the_page() {
        let ids = |script: &str| -> Vec<String> {
            let found = script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.map(str::to_owned).collect()
        };
        let page = html(true);
        for id in [BEFORE, CAMERA, MAIN].iter().flat_map(|script| ids(script)) {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}
